/**
 * Playing a live picture: hls.js where the browser has MSE (or an iPhone's ManagedMediaSource), the browser's own HLS
 * elsewhere. It stays as near the live edge as the line allows, mends media and network errors by itself, and says how it
 * goes. An encoder that comes back is a break on the timeline, which is played over without a reload.
 */
import type Hls from 'hls.js'

export type Playing = 'starting' | 'playing' | 'waiting' | 'away' | 'unplayable'

export interface Player {
  destroy: () => void
  /** How far what is shown is behind the newest part at the server; nothing while it isn't known. */
  readonly latency_s: number | null
}

/** Without progress for this long it is not the network's mood any more: nobody is sending. */
const AWAY_MS = 8_000
const RETRY_MS = 2_500
/** Farther behind the edge than this, jump; a live shop sells what is shown now. */
const BEHIND_MAX_S = 8
const STEER_MS = 250
/** hls.js catches up only with more than a second in hand, which a player so near the edge never has; so we do. */
const CATCH_UP_MAX = 1.15
const CUSHION_S = 0.3
const TOLERATED_S = 0.08
/** After each stall it stays this much farther from the edge, and after a while without one it comes nearer again. */
const STALL_STEP_S = 0.2
const CALM_MS = 45_000
const HLS = 'application/vnd.apple.mpegurl'

export function play(video: HTMLVideoElement, url: string, tell: (playing: Playing) => void): Player {
  let stopped = false
  let hls: Hls | null = null
  let calmSince = performance.now()
  let at = 0
  let again: ReturnType<typeof setTimeout> | undefined
  let waiting: ReturnType<typeof setTimeout> | undefined

  function moving(): void {
    clearTimeout(waiting)
    waiting = undefined
    tell('playing')
  }

  /** A last `timeupdate` comes after the picture has stopped; only time that goes on counts. */
  function advanced(): void {
    if (video.currentTime === at) return
    at = video.currentTime
    if (video.readyState > 2) moving()
  }

  function stalled(): void {
    if (stopped) return
    if (video.currentTime > 0) tell('waiting')
    calmSince = performance.now()
    waiting ??= setTimeout(() => tell('away'), AWAY_MS)
  }

  function retry(): void {
    clearTimeout(again)
    if (!stopped) again = setTimeout(() => void start().catch(retry), RETRY_MS)
  }

  function toEdge(): void {
    if (document.visibilityState !== 'visible' || stopped) return
    const edge = hls?.liveSyncPosition ?? (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) - 1 : null)
    if (edge !== null && edge - video.currentTime > BEHIND_MAX_S) video.currentTime = edge
    if (video.paused) video.play().catch(() => undefined)
  }

  /** A little faster while behind the wanted distance and something is in hand; never slower. */
  function steer(): void {
    const target = hls?.targetLatency
    if (!hls || !target || video.paused) return
    const behind = hls.latency - target
    const ahead = video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0
    const fast = video.playbackRate > 1 ? behind > 0 : behind > TOLERATED_S
    const rate = fast && ahead > CUSHION_S ? Math.min(CATCH_UP_MAX, 1.05 + behind / 10) : 1
    if (Math.abs(video.playbackRate - rate) > 0.01) video.playbackRate = rate
    const nearest = hls.latestLevelDetails?.partHoldBack
    if (nearest && target > nearest && performance.now() - calmSince > CALM_MS) {
      hls.targetLatency = Math.max(nearest, target - STALL_STEP_S)
      calmSince = performance.now()
    }
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
      maxLiveSyncPlaybackRate: 1, // `steer` does it
      liveSyncOnStallIncrease: STALL_STEP_S,
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
    if (!video.canPlayType(HLS)) {
      clearTimeout(waiting)
      return tell('unplayable')
    }
    video.src = url
    video.play().catch(() => undefined)
  }

  function failed(): void {
    if (!hls && !stopped && video.src) {
      stalled()
      retry()
    }
  }

  const events: [string, () => void][] = [['playing', moving], ['timeupdate', advanced], ['waiting', stalled], ['stalled', stalled], ['error', failed]]
  for (const [name, listen] of events) video.addEventListener(name, listen)
  document.addEventListener('visibilitychange', toEdge)
  const watch = setInterval(toEdge, 5_000)
  const steering = setInterval(steer, STEER_MS)

  tell('starting')
  stalled()
  start().catch(retry)

  return {
    get latency_s() {
      return hls && video.readyState >= 2 && hls.latency > 0 ? hls.latency : null
    },
    destroy() {
      stopped = true
      clearTimeout(again)
      clearTimeout(waiting)
      clearInterval(watch)
      clearInterval(steering)
      document.removeEventListener('visibilitychange', toEdge)
      for (const [name, listen] of events) video.removeEventListener(name, listen)
      hls?.destroy()
      video.playbackRate = 1
      video.removeAttribute('src')
      video.load()
    },
  }
}
