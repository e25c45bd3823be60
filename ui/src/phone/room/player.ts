/**
 * Playing the show: hls.js where the browser has MSE, the browser's own HLS elsewhere. It stays near the live edge, mends
 * media and network errors by itself, and says how it goes.
 */
import type Hls from 'hls.js'

export type Playing = 'starting' | 'playing' | 'waiting' | 'away'

export interface Player { destroy: () => void }

/** Without progress for this long it is not the network's mood any more: nobody is sending. */
const AWAY_MS = 8_000
const RETRY_MS = 2_500
/** Farther behind the edge than this, jump; a live shop sells what is shown now. */
const BEHIND_MAX_S = 8

export function play(video: HTMLVideoElement, url: string, tell: (playing: Playing) => void): Player {
  let stopped = false
  let hls: Hls | null = null
  let again: ReturnType<typeof setTimeout> | undefined
  let waiting: ReturnType<typeof setTimeout> | undefined

  function moving(): void {
    clearTimeout(waiting)
    waiting = undefined
    tell('playing')
  }

  function stalled(): void {
    if (stopped) return
    if (video.currentTime > 0) tell('waiting')
    waiting ??= setTimeout(() => tell('away'), AWAY_MS)
  }

  function retry(): void {
    clearTimeout(again)
    if (!stopped) again = setTimeout(() => void start(), RETRY_MS)
  }

  function toEdge(): void {
    if (document.visibilityState !== 'visible' || stopped) return
    const edge = hls?.liveSyncPosition ?? (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) - 1 : null)
    if (edge !== null && edge - video.currentTime > BEHIND_MAX_S) video.currentTime = edge
    if (video.paused) video.play().catch(() => undefined)
  }

  async function start(): Promise<void> {
    hls?.destroy()
    hls = null
    const { default: Player } = await import('hls.js/light')
    if (stopped) return
    if (!Player.isSupported()) return startNative()
    hls = new Player({
      lowLatencyMode: true,
      enableWorker: false, // a worker would need blob: scripts, which the page's CSP does not allow
      backBufferLength: 10,
      maxBufferLength: 12,
      maxLiveSyncPlaybackRate: 1.1,
      manifestLoadPolicy: { default: { maxTimeToFirstByteMs: 6_000, maxLoadTimeMs: 8_000, timeoutRetry: null, errorRetry: null } },
    })
    hls.on(Player.Events.ERROR, (_event, data) => {
      if (!data.fatal || !hls) return
      stalled()
      if (data.type === Player.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError()
      else {
        if (data.details === Player.ErrorDetails.MANIFEST_LOAD_ERROR) tell('away')
        retry()
      }
    })
    hls.on(Player.Events.MANIFEST_PARSED, () => video.play().catch(() => undefined))
    hls.loadSource(url)
    hls.attachMedia(video)
  }

  function startNative(): void {
    video.src = url
    video.play().catch(() => undefined)
  }

  function failed(): void {
    if (!hls && !stopped && video.src) {
      stalled()
      retry()
    }
  }

  const events: [string, () => void][] = [['playing', moving], ['timeupdate', moving], ['waiting', stalled], ['stalled', stalled], ['error', failed]]
  for (const [name, listen] of events) video.addEventListener(name, listen)
  document.addEventListener('visibilitychange', toEdge)
  const watch = setInterval(toEdge, 5_000)

  tell('starting')
  stalled()
  start().catch(retry)

  return {
    destroy() {
      stopped = true
      clearTimeout(again)
      clearTimeout(waiting)
      clearInterval(watch)
      document.removeEventListener('visibilitychange', toEdge)
      for (const [name, listen] of events) video.removeEventListener(name, listen)
      hls?.destroy()
      video.removeAttribute('src')
      video.load()
    },
  }
}
