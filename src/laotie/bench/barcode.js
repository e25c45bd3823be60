// Draws and reads the clock of barcode.py, whose geometry is BAR.
function drawClock(pen, at) {
  const { bits, left, top, cell, row } = BAR
  pen.fillStyle = '#000'
  pen.fillRect(left - cell, top - row, cell * (bits + 2), row * 4)
  pen.fillStyle = '#fff'
  for (let bit = 0; bit < bits; bit++) {
    const on = Math.floor(at / 2 ** (bits - 1 - bit)) % 2
    pen.fillRect(left + bit * cell, top + (on ? 0 : row), cell, row)
  }
}

// The strip, scaled to four pixels a bit and eight high: the upper half, and below it the same inverted.
const strip = Object.assign(document.createElement('canvas'), { width: BAR.bits * 4, height: 8 }).getContext('2d', { willReadFrequently: true })

function readClock(video) {
  const { bits, width, left, top, cell, row } = BAR
  const by = video.videoWidth / width
  strip.drawImage(video, left * by, top * by, cell * bits * by, 2 * row * by, 0, 0, bits * 4, 8)
  const light = strip.getImageData(0, 0, bits * 4, 8).data
  let at = 0
  for (let bit = 0; bit < bits; bit++) {
    const [upper, lower] = [2, 6].map((line) => light[(line * bits * 4 + bit * 4 + 2) * 4])
    if (Math.abs(upper - lower) < 80) return null
    at = at * 2 + (upper > lower ? 1 : 0)
  }
  return at
}

function ageOf(at, now) {
  const age = (((now - at) % BAR.period) + BAR.period) % BAR.period
  return age > BAR.period / 2 ? age - BAR.period : age
}
