// Notes when the first picture shows, how old each picture is when it is shown, and how long the player runs dry.
const seen = (window.benchSeen = { first_s: null, ages: [], dry_s: 0, watched_from_s: null, unreadable: 0 })
let dryFrom = null, readAt = 0
function watch(video) {
  const dry = () => { if (seen.first_s !== null) dryFrom ??= performance.now() }
  const wet = () => { if (dryFrom !== null) { seen.dry_s += (performance.now() - dryFrom) / 1000; dryFrom = null } }
  video.addEventListener('waiting', dry)
  video.addEventListener('playing', wet)
  const look = () => {
    const now = performance.now()
    wet()
    seen.first_s ??= now / 1000
    if (now - readAt > 90) {
      readAt = now
      const at = readClock(video)
      if (at === null) seen.unreadable++
      else seen.ages.push([now / 1000, ageOf(at, Date.now() % BAR.period) / 1000])
    }
    video.requestVideoFrameCallback(look)
  }
  video.requestVideoFrameCallback(look)
}
const find = setInterval(() => {
  const video = document.querySelector('[data-testid=video]')
  if (video) { clearInterval(find); watch(video) }
}, 20)
