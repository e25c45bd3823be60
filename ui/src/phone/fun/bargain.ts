/** A bargained price as an offer of the buy sheet, and its order. */
import { placeOrder } from '@/shared/api/endpoints'
import type { CartItem, Grant, OrderAskLine } from '@/shared/api/types'
import { offerOfItem, type Offer } from '../buying/offer'

/** One piece, at one's own price; crossed beside it what the price history bears out, not the price that the room was asked. */
export function offerOfGrant(item: CartItem, grant: Grant): Offer {
  const offer = offerOfItem(item)
  const skus = offer.skus.filter((sku) => sku.sku_id === grant.sku_id)
  return { ...offer, limit: 1, skus: skus.map((sku) => ({ ...sku, price: grant.price })) }
}

export function buyAt(grant: Grant, showId: string, visit: string | null) {
  return (id: string, line: OrderAskLine): Promise<{ id: string }> =>
    placeOrder({ id, show_id: showId, visit, lines: [{ ...line, quantity: 1, grant_id: grant.id }] })
}
