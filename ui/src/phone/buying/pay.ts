/** From a placed order to the payment provider's page: the address, one payment, and off. */
import type { Router } from 'vue-router'
import { payOrder, sendOrderTo } from '@/shared/api/endpoints'
import { newId } from '@/shared/ids'

/** One payment id an order until it is known to be used up: a second tap is the same payment. */
const payments = new Map<string, string>()

export async function pay(router: Router, orderId: string, addressId: string | null): Promise<void> {
  if (addressId) await sendOrderTo(orderId, addressId)
  const id = payments.get(orderId) ?? newId()
  payments.set(orderId, id)
  const payment = await payOrder(orderId, id)
  const next = payment.next?.url
  if (next && new URL(next, location.origin).origin !== location.origin) location.assign(next)
  else await router.push(next ?? { name: 'result', params: { id: orderId } })
}

/** A declined payment is used up; the next try is another one. */
export function forgetPayment(orderId: string): void {
  payments.delete(orderId)
}
