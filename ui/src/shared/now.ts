/** One clock for every countdown on the screen. */
import { computed, onScopeDispose, ref, type Ref } from 'vue'

const now = ref(Date.now())
let watchers = 0
let timer: ReturnType<typeof setInterval> | undefined

export function useNow(): Readonly<Ref<number>> {
  if (watchers++ === 0) {
    now.value = Date.now()
    timer = setInterval(() => (now.value = Date.now()), 500)
  }
  onScopeDispose(() => {
    if (--watchers === 0) clearInterval(timer)
  })
  return now
}

const ahead = ref(0)
/** An answer's date is whole seconds, and the way takes its time: less than this is no difference. */
const DRIFT_MS = 2_000

/** Every answer of the server says what time it is there. */
export function heardServer(date: string | null): void {
  const off = (date ? Date.parse(date) : NaN) + 500 - Date.now()
  if (!Number.isNaN(off)) ahead.value = Math.abs(off) < DRIFT_MS ? 0 : off
}

/** The server's time, which is the one that deadlines are kept by. */
export function useServerNow(): Readonly<Ref<number>> {
  const here = useNow()
  return computed(() => here.value + ahead.value)
}
