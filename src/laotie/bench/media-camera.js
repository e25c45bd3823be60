// A camera with a clock in its picture, in place of the machine's: what the studio does with it is the studio's own code.
const picture = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 })
const pen = picture.getContext('2d', { alpha: false })
const still = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 })
const brush = still.getContext('2d', { alpha: false })
for (let at = 0; at < 700; at++) {
  brush.fillStyle = `hsl(${(at * 47) % 360} 60% ${30 + (at % 5) * 10}%)`
  brush.fillRect((at * 97) % 1280, (at * 61) % 720, 90, 60)
}
function paint() {
  const now = Date.now()
  pen.drawImage(still, 0, 0)
  pen.fillStyle = '#fff'
  for (let at = 0; at < 12; at++) pen.fillRect(((now / (6 + at)) % 1400) - 100, 20 + at * 45, 80, 30)
  drawClock(pen, now % BAR.period)
}
navigator.mediaDevices.getUserMedia = async () => {
  paint()
  setInterval(paint, 1000 / 30)
  const stream = picture.captureStream(30)
  const sound = new AudioContext()
  const tone = new OscillatorNode(sound, { frequency: 330 })
  const out = sound.createMediaStreamDestination()
  tone.connect(new GainNode(sound, { gain: 0.2 })).connect(out)
  tone.start()
  stream.addTrack(out.stream.getAudioTracks()[0])
  return stream
}
