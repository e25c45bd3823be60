/** What was searched for on this device; nobody else is told. */
import { ref } from 'vue'

const KEPT = 'laotie.searches'
const KEPT_MAX = 10

const searches = ref<string[]>(read())

export function useSearches() {
  function note(words: string): void {
    const said = words.trim()
    if (said) keep([said, ...searches.value.filter((one) => one !== said)].slice(0, KEPT_MAX))
  }

  return { searches, note, forget: () => keep([]) }
}

function keep(now: string[]): void {
  searches.value = now
  try {
    localStorage.setItem(KEPT, JSON.stringify(now))
  } catch {
    // private window: kept for this visit
  }
}

function read(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? '[]')
    return Array.isArray(kept) ? kept.filter((one): one is string => typeof one === 'string').slice(0, KEPT_MAX) : []
  } catch {
    return []
  }
}
