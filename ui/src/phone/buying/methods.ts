/** The ways to pay: what the platform offers, and which one this buyer took last (kept in this browser). */
import { computed, ref } from 'vue'
import { listPaymentMethods } from '@/shared/api/endpoints'
import type { PaymentMethod } from '@/shared/api/types'

const KEY = 'laotie.pay-method'

const all = ref<PaymentMethod[] | null>(null)
const wanted = ref(read())
let asking: Promise<void> | null = null

function read(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}

/** The methods that take a currency; empty until they are known. */
export const methodsFor = (currency: string): PaymentMethod[] =>
  (all.value ?? []).filter((one) => one.currencies.length === 0 || one.currencies.includes(currency))

export const wantedMethod = computed(() => wanted.value)

export function wantMethod(method: string): void {
  wanted.value = method
  try {
    localStorage.setItem(KEY, method)
  } catch {
    // private window: chosen for this visit
  }
}

export function loadMethods(): Promise<void> {
  asking ??= listPaymentMethods()
    .then(({ items }) => void (all.value = items))
    .finally(() => (asking = null))
  return all.value ? Promise.resolve() : asking
}

/** What will be used: the one chosen when it takes the currency, else the first that does. */
export function methodFor(currency: string): string {
  const fitting = methodsFor(currency)
  return (fitting.find((one) => one.method === wanted.value) ?? fitting[0])?.method ?? 'sandbox'
}
