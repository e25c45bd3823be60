/** One clock for every countdown on the screen: the server's, for deadlines are kept by it and devices go wrong. */
import { computed, onScopeDispose, ref, type Ref } from 'vue'

/** An answer's date is whole seconds, and the way takes its time: less than this is no difference. */
const DRIFT_MS = 2_000

const here = ref(Date.now())
const ahead = ref(0)
const there = computed(() => here.value + ahead.value)
let watchers = 0
let timer: ReturnType<typeof setInterval> | undefined

/** Every answer of the server says what time it is there. */
export function heardServer(date: string | null): void {
  const off = (date ? Date.parse(date) : NaN) + 500 - Date.now()
  if (!Number.isNaN(off)) ahead.value = Math.abs(off) < DRIFT_MS ? 0 : off
}

/** What time it is, to be written down. */
export const timeNow = (): number => Date.now() + ahead.value

/** What time it is, to be counted down by: moves twice a second while anybody looks. */
export function useNow(): Readonly<Ref<number>> {
  if (watchers++ === 0) {
    here.value = Date.now()
    timer = setInterval(() => (here.value = Date.now()), 500)
  }
  onScopeDispose(() => {
    if (--watchers === 0) clearInterval(timer)
  })
  return there
}
