/** What an insight page asks about: whose figures, of which days, in which kind of GMV and currency. It stands in the page's address. */
import './insight.css'
import { computed, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { useLoad } from '../parts/load'
import { useShop } from '../shop'
import { KINDS, type Kind } from './overview'
import type { Level } from './pages'
import type { Preset } from './parts/period'
import { usePeriod } from './parts/usePeriod'
import { zone } from './parts/zone'

export type Query = Record<string, string | number | readonly string[] | undefined>

export function useQuestion(level: () => Level, usual: Preset = 'd30') {
  const route = useRoute()
  const router = useRouter()
  const shop = useShop()
  const { period, compare, before, today } = usePeriod(usual)
  const own = (name: string) =>
    computed<string>({
      get: () => String(route.query[name] ?? ''),
      set: (value) => void router.replace({ query: { ...route.query, [name]: value || undefined } }),
    })
  const kind = computed<Kind>({
    get: () => KINDS.find((one) => one === route.query.kind) ?? 'paid',
    set: (chosen) => void router.replace({ query: { ...route.query, kind: chosen } }),
  })
  const currency = own('currency')
  const whose = computed(() => ({ level: level(), ...(level() === 'shop' ? { of: shop.id } : {}) }))
  const days = computed(() => ({ ...whose.value, ...period.value }))
  const inCurrency = computed(() => (currency.value ? { currency: currency.value } : {}))
  return { period, compare, before, today, kind, currency, own, whose, days, inCurrency, shop, zone }
}

/**
 * Reads when the page opens and whenever the question becomes another; then the one before is called off, and the server need not
 * work it out. Figures stay while newer ones are on their way, but never stand for another question than theirs.
 */
export function useAnswer<Q, T>(question: () => Q, read: (question: Q, signal: AbortSignal) => Promise<T>) {
  const found = useLoad((signal) => read(question(), signal))
  watch(found.error, (error) => {
    if (error) found.data.value = null
  })
  watch(() => JSON.stringify(question()), () => void found.reload(), { immediate: true })
  return found
}

/** The same question as an address, for files. */
export function urlOf(path: string, query: Query): string {
  const said = Object.entries(query).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]))
  return `/api/insight/${path}?${new URLSearchParams(said.filter(([, one]) => one !== undefined && one !== '').map(([name, one]) => [name, String(one)]))}`
}
