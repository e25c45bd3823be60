/** What is being bought on the checkout page: the lines, what the server quotes for them, and what changed between two quotes. */
import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import { Refused } from '@/shared/api/ask'
import type { Money, OrderAsk, Quote, QuotedLine } from '@/shared/api/types'

export interface CheckoutLine { sku_id: string; cart_item_id: string | null; show_id: string | null; quantity: number; price: Money }

/** A line as the quote knows it: the same product may be in it twice, off the shelf and from a show. */
const keyOf = (line: { sku_id: string; cart_item_id?: string | null }) => `${line.sku_id} ${line.cart_item_id ?? ''}`

export type Change =
  | { kind: 'price'; title: string; before: Money; after: Money }
  | { kind: 'gone' | 'few'; title: string; left: number }
  | { kind: 'coupons' | 'shipping'; before: Money; after: Money }

/** What a buyer has to hear of when the quote is no longer the one that they saw. */
export function changesOf(before: Quote, after: Quote): Change[] {
  const changes: Change[] = []
  const was = new Map(linesOf(before).map((line) => [keyOf(line), line]))
  for (const line of [...linesOf(after), ...after.stray]) {
    const old = was.get(keyOf(line))
    if (!old) continue
    if (line.problem && !old.problem) changes.push({ kind: line.available > 0 ? 'few' : 'gone', title: old.title, left: line.available })
    else if (!line.problem && line.unit_price.amount !== old.unit_price.amount) changes.push({ kind: 'price', title: line.title, before: old.unit_price, after: line.unit_price })
  }
  for (const kind of ['coupons', 'shipping'] as const) {
    const [one, other] = [before, after].map((quote) => ({
      amount: quote.orders.reduce((sum, order) => sum + ((kind === 'coupons' ? order.discount : order.shipping)?.amount ?? 0), 0),
      currency: quote.currency,
    })) as [Money, Money]
    const known = kind === 'coupons' || before.orders.every((order) => order.shipping)
    if (known && one.amount !== other.amount) changes.push({ kind, before: one, after: other })
  }
  return changes
}

export function linesOf(quote: Quote): QuotedLine[] {
  return quote.orders.flatMap((order) => order.lines)
}

/** Lines that cannot be bought as they stand. */
export function troubled(quote: Quote): QuotedLine[] {
  return [...linesOf(quote), ...quote.stray].filter((line) => line.problem)
}

/**
 * The purchase as the buyer saw it: at these prices, with these coupons, for this total, or not at all. It names no visit: what
 * brought the buyer to each shop is remembered where the rule of attribution is known.
 */
export function orderOf(id: string, quote: Quote, showId: string | null, addressId: string, notes: Record<string, string>): OrderAsk {
  const said = Object.entries(notes).map(([shop, note]) => [shop, note.trim()] as const).filter(([, note]) => note)
  return {
    id,
    lines: linesOf(quote).map((line) => ({ sku_id: line.sku_id, quantity: line.quantity, unit_price: line.unit_price, ...(line.cart_item_id ? { cart_item_id: line.cart_item_id } : {}) })),
    address_id: addressId,
    coupons: quote.chosen,
    total: quote.subtotal,
    ...(showId ? { show_id: showId } : {}),
    ...(said.length ? { notes: Object.fromEntries(said) } : {}),
  }
}

/** Refusals after which another look at prices, stock and coupons says what to do. */
const MOVED = new Set(['total-changed', 'price-changed', 'coupon-refused', 'sold-out', 'off-shelf', 'sale-over', 'show-ended', 'between-waves', 'limit-reached', 'promise-broken'])
export const moved = (error: unknown): error is Refused => error instanceof Refused && MOVED.has(error.code)

const KEPT = 'laotie.checkout'

/** Kept for the tab, so that reloading the page does not lose the purchase. */
export const useCheckout = defineStore('checkout', () => {
  const lines = ref<CheckoutLine[]>(read())
  watch(lines, (now) => sessionStorage.setItem(KEPT, JSON.stringify(now)), { deep: true })

  function begin(chosen: CheckoutLine[]): void {
    lines.value = chosen.map(({ sku_id, cart_item_id, show_id, quantity, price }) => ({ sku_id, cart_item_id, show_id, quantity, price }))
  }

  function drop(gone: { sku_id: string; cart_item_id?: string | null }[]): void {
    const keys = new Set(gone.map(keyOf))
    lines.value = lines.value.filter((line) => !keys.has(keyOf(line)))
  }

  /** Lines of a show that ended go on at the shelf's price. */
  function leaveShow(): void {
    lines.value = lines.value.map((line) => ({ ...line, cart_item_id: null, show_id: null }))
  }

  return { lines, begin, drop, leaveShow }
})

function read(): CheckoutLine[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? '[]')
    return Array.isArray(kept) ? (kept as CheckoutLine[]) : []
  } catch {
    return []
  }
}
