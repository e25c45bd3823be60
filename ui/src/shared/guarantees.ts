/** What shops guarantee, in words; and what stands for a product now, asked for many at once. */
import { shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import { listGuarantees, type Guarantee } from './api/trust'
import { formatMoney } from './format'
import { t } from './i18n'

const GATHER_MS = 20
const PRODUCTS_MAX = 50
const KEPT_MS = 60_000

/** A few words: 假一赔九, 7-day returns. */
export function guaranteeName({ kind, days }: Pick<Guarantee, 'kind' | 'days'>): string {
  return t(`common.guarantee.${kind}.name`, { days: days ?? '' })
}

/** What it means for a buyer, in a sentence. */
export function guaranteeText({ kind, cap, days }: Guarantee): string {
  return t(`common.guarantee.${kind}.text`, { cap: cap ? formatMoney(cap) : '', days: days ?? '' })
}

const known = new Map<string, { at: number; promises: ShallowRef<Guarantee[]> }>()
let waiting = new Set<string>()

async function ask(): Promise<void> {
  const asked = [...waiting]
  waiting = new Set()
  for (let start = 0; start < asked.length; start += PRODUCTS_MAX) {
    const some = asked.slice(start, start + PRODUCTS_MAX)
    try {
      const { items } = await listGuarantees(some)
      for (const id of some) known.get(id)!.promises.value = items.find((one) => one.product_id === id)?.pledge.promises ?? []
    } catch {
      for (const id of some) known.delete(id) // asked again when it is shown again
    }
  }
}

/** What whoever orders this product now is promised; empty until it is known. */
export function useGuarantees(product: () => string | null | undefined): Ref<Guarantee[]> {
  const promises = shallowRef<Guarantee[]>([])
  watch(product, (id, _before, ended) => {
    if (!id) {
      promises.value = []
      return
    }
    let one = known.get(id)
    if (!one || one.at + KEPT_MS < Date.now()) {
      one = { at: Date.now(), promises: shallowRef(one?.promises.value ?? []) }
      known.set(id, one)
      if (waiting.size === 0) setTimeout(() => void ask(), GATHER_MS)
      waiting.add(id)
    }
    ended(watch(one.promises, (now) => (promises.value = now), { immediate: true }))
  }, { immediate: true })
  return promises
}
