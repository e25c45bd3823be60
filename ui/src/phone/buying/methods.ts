/** The ways to pay: what the platform offers, and which one this buyer took last (kept in this browser). */
import { computed, reactive, ref } from 'vue'
import { listPaymentMethods } from '@/shared/api/endpoints'
import type { PaymentMethod } from '@/shared/api/types'

const KEY = 'laotie.pay-method'

/** Whose money it is that is paid: these shops'. Of none, anybody's: not every provider may take that. */
export type Whose = readonly string[]

const known = reactive(new Map<string, PaymentMethod[]>())
const wanted = ref(read())
const asking = new Map<string, Promise<void>>()
const keyOf = (whose: Whose) => [...whose].sort().join()

function read(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}

/** The methods that take a currency; empty until they are known. */
export const methodsFor = (currency: string, whose: Whose = []): PaymentMethod[] =>
  (known.get(keyOf(whose)) ?? []).filter((one) => one.currencies.length === 0 || one.currencies.includes(currency))

export const wantedMethod = computed(() => wanted.value)

export function wantMethod(method: string): void {
  wanted.value = method
  try {
    localStorage.setItem(KEY, method)
  } catch {
    // private window: chosen for this visit
  }
}

export function loadMethods(whose: Whose = []): Promise<void> {
  const key = keyOf(whose)
  if (known.has(key)) return Promise.resolve()
  let under = asking.get(key)
  if (!under) {
    under = listPaymentMethods(whose.length ? { shop_id: [...whose] } : { wallet: true })
      .then(({ items }) => void known.set(key, items))
      .finally(() => asking.delete(key))
    asking.set(key, under)
  }
  return under
}

/** What will be used: the one chosen when it takes the currency, else the first that does. */
export function methodFor(currency: string, whose: Whose = []): string {
  const fitting = methodsFor(currency, whose)
  return (fitting.find((one) => one.method === wanted.value) ?? fitting[0])?.method ?? 'sandbox'
}
