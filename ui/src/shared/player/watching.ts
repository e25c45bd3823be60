/**
 * Watch time of what is played beside the live room. While it runs on a page in sight the server hears so every ten seconds, and
 * whenever it stops. Each beat shows the server's last answer; what was lost on the way is said again with the next.
 */
import { onBeforeUnmount, watch } from 'vue'
import { beatPlay } from '@/shared/api/endpoints'
import { newId } from '@/shared/ids'

const EVERY_MS = 10_000

export interface Watching {
  /** It runs, or it does not, as far as the player knows. */
  run: (runs: boolean) => void
  end: () => void
}

/** `tell` says how long it ran since the answer that it shows, and gives the next answer. */
export function beginWatching(tell: (beat: string | null, shownMs: number) => Promise<string>, clock: () => number = () => performance.now()): Watching {
  let runs = false
  let since: number | null = null
  let shown = 0
  let told = 0
  let heard: string | null = null
  let telling: Promise<void> = Promise.resolve()
  let timer: ReturnType<typeof setInterval> | undefined

  const inSight = () => document.visibilityState === 'visible'
  const shownNow = () => shown + (since === null ? 0 : clock() - since)

  function beat(): void {
    const upTo = shownNow()
    telling = telling.then(async () => {
      heard = await tell(heard, Math.round(upTo - told))
      told = upTo
    }).catch(() => undefined) // watch time is never worth a word of trouble to the viewer
  }

  function look(): void {
    const goes = runs && inSight()
    if (goes === (since !== null)) return
    if (goes) {
      told = shown // what ran before a pause was told when it began
      since = clock()
      timer = setInterval(beat, EVERY_MS)
    } else {
      shown = shownNow()
      since = null
      clearInterval(timer)
    }
    beat()
  }

  document.addEventListener('visibilitychange', look)
  return {
    run(now) {
      runs = now
      look()
    },
    end() {
      runs = false
      look()
      document.removeEventListener('visibilitychange', look)
    },
  }
}

/** The same for a page: while `runs`, once there is a visit that it is credited to; another visit is another play. */
export function useWatching(visit: () => string | null, runs: () => boolean): void {
  let watching: Watching | null = null
  const stop = () => {
    watching?.end()
    watching = null
  }
  watch(visit, (token) => {
    stop()
    if (token === null) return
    const play = newId()
    watching = beginWatching(async (beat, shown_ms) => (await beatPlay(play, { visit: token, beat, shown_ms })).beat)
    watching.run(runs())
  }, { immediate: true })
  watch(runs, (now) => watching?.run(now))
  onBeforeUnmount(stop)
}
