/** Playing what was recorded, a whole show or a clip: hls.js where the browser has MSE, its own HLS elsewhere. */
import type Hls from 'hls.js'

export type RecordedState = 'starting' | 'playing' | 'paused' | 'waiting' | 'ended' | 'failed' | 'unplayable'

export interface RecordedPlayer { destroy: () => void }

const HLS = 'application/vnd.apple.mpegurl'
const RETRY_MS = 3_000

export function playRecorded(video: HTMLVideoElement, url: string, at: number, tell: (state: RecordedState) => void): RecordedPlayer {
  let stopped = false
  let hls: Hls | null = null
  let again: ReturnType<typeof setTimeout> | undefined

  const events: [string, () => void][] = [
    ['playing', () => tell('playing')],
    ['pause', () => tell(video.ended ? 'ended' : 'paused')],
    ['waiting', () => tell('waiting')],
    ['ended', () => tell('ended')],
    ['error', () => hls === null && video.src !== '' && tell('failed')],
  ]
  for (const [name, listen] of events) video.addEventListener(name, listen)

  async function start(from: number): Promise<void> {
    hls?.destroy()
    hls = null
    const { default: Player } = await import('hls.js/light')
    if (stopped) return
    if (!Player.isSupported()) return startNative(from)
    hls = new Player({
      startPosition: from,
      enableWorker: false, // a worker would need blob: scripts, which the page's CSP does not allow
      maxBufferLength: 20,
      backBufferLength: 60,
    })
    hls.on(Player.Events.ERROR, (_event, data) => {
      if (!data.fatal || !hls || stopped) return
      if (data.type === Player.ErrorTypes.MEDIA_ERROR) return hls.recoverMediaError()
      tell('failed')
      clearTimeout(again)
      again = setTimeout(() => void start(video.currentTime || from), RETRY_MS)
    })
    hls.on(Player.Events.MANIFEST_PARSED, () => video.play().catch(() => tell('paused')))
    hls.loadSource(url)
    hls.attachMedia(video)
  }

  function startNative(from: number): void {
    if (!video.canPlayType(HLS)) return tell('unplayable')
    video.src = url
    video.addEventListener('loadedmetadata', () => (video.currentTime = from), { once: true })
    video.play().catch(() => tell('paused'))
  }

  tell('starting')
  start(at).catch(() => tell('failed'))

  return {
    destroy() {
      stopped = true
      clearTimeout(again)
      for (const [name, listen] of events) video.removeEventListener(name, listen)
      hls?.destroy()
      video.removeAttribute('src')
      video.load()
    },
  }
}
