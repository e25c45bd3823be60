/** From a placed order to the payment provider's page: the address, one payment, and off. */
import type { Router } from 'vue-router'
import { payOrder, sendOrderTo } from '@/shared/api/endpoints'
import { newId } from '@/shared/ids'
import type { Payment } from '@/shared/api/types'
import { loadMethods, methodFor, type Whose } from './methods'

/** One payment id an order and method until it is known to be used up: a second tap is the same payment. */
const payments = new Map<string, string>()

export async function pay(router: Router, orderId: string, addressId: string | null, currency = 'CNY', whose: Whose = []): Promise<void> {
  if (addressId) await sendOrderTo(orderId, addressId)
  await loadMethods(whose)
  const method = methodFor(currency, whose)
  const key = `${orderId} ${method}`
  const id = payments.get(key) ?? newId()
  payments.set(key, id)
  await goOn(router, await payOrder(orderId, id, method), { name: 'result', params: { id: orderId } })
}

/** Where the provider wants the buyer next: its own page, ours that stands in for it, or a code to scan. */
export async function goOn(router: Router, payment: Payment, otherwise: Parameters<Router['push']>[0]): Promise<void> {
  const next = payment.next
  if (next?.kind === 'qr') await router.push({ name: 'pay-code', params: { id: payment.id } })
  else if (next && new URL(next.url, location.origin).origin !== location.origin) location.assign(next.url)
  else await router.push(next?.url ?? otherwise)
}

/** A declined payment is used up; the next try is another one. */
export function forgetPayment(orderId: string): void {
  for (const key of payments.keys()) if (key.startsWith(orderId)) payments.delete(key)
}
