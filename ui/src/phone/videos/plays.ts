/**
 * One play of one video, told to the server while it runs: at its beginning, at three seconds, every few seconds after,
 * and at its end. Only what ran is counted: a jump or a pause is not watched time.
 */
import { newId } from '@/shared/ids'

const FIRST_MS = 3_000
const EVERY_MS = 5_000
const STEP_S_MAX = 1.5

export interface Play {
  /** The player is at this second now. */
  at: (seconds: number) => void
  end: () => void
}

/** `tellServer` gets the play's id and how many milliseconds have run; what is lost on the way is told again with the next. */
export function beginPlay(tellServer: (play: string, watched: number) => void): Play {
  const id = newId()
  let watched = 0
  let told = -1
  let last: number | null = null
  let next = Math.min(FIRST_MS, EVERY_MS)

  function tell(): void {
    const now = Math.round(watched)
    if (now === told) return
    told = now
    tellServer(id, now)
  }

  tell()
  return {
    at(seconds) {
      const step = last === null ? 0 : seconds - last
      last = seconds
      if (step > 0 && step < STEP_S_MAX) watched += step * 1000
      if (watched >= next) {
        next = watched + EVERY_MS
        tell()
      }
    },
    end: tell,
  }
}
