/**
 * The sales of one show as they come in: totals from the server's own count, moved on by the socket's frames, and the
 * latest orders. The server's figures win whenever they are read again; between two readings every order counts once.
 */
import type { Money, OrderState } from '@/shared/api/types'
import type { ShopOrder } from '../api'

export interface SaleLine { title: string; quantity: number }
/** An order as it is told on the desk. */
export interface Sale { id: string; state: OrderState; total: Money; placed_at: string; buyer: string | null; lines: SaleLine[] }
/** The order inside a `sale` frame. */
export interface SaleBrief {
  id: string; buyer: string; total: Money; placed_at: string
  lines: { sku: string; item: string | null; title: string; qty: number; price: number }[]
}
export interface ItemSales { product_id: string; units: number; paid_units: number }
/** GET /api/shows/{id}/sales */
export interface Sales {
  orders: number; paid: number; units: number; gmv: { placed: Money; paid: Money }; per_item: ItemSales[]
}

export interface Desk { orders: number; paid: number; units: number; placedAmount: number; paidAmount: number; currency: string; items: ItemSales[]; latest: Sale[] }

export const LATEST_MAX = 200

export function newDesk(currency: string): Desk {
  return { orders: 0, paid: 0, units: 0, placedAmount: 0, paidAmount: 0, currency, items: [], latest: [] }
}

/** Takes the server's totals as they are. */
export function count(desk: Desk, sales: Sales): Desk {
  return {
    ...desk,
    orders: sales.orders,
    paid: sales.paid,
    units: sales.units,
    placedAmount: sales.gmv.placed.amount,
    paidAmount: sales.gmv.paid.amount,
    currency: sales.gmv.placed.currency,
    items: sales.per_item,
  }
}

/** Orders read from the server: shown, not counted (the totals hold them already). Newest first. */
export function recall(desk: Desk, orders: Sale[]): Desk {
  const known = new Map([...orders, ...desk.latest].map((sale) => [sale.id, sale]))
  for (const order of orders) known.set(order.id, order)
  const latest = [...known.values()].sort((one, other) => other.placed_at.localeCompare(one.placed_at)).slice(0, LATEST_MAX)
  return { ...desk, latest }
}

export function sold(desk: Desk, sale: Sale): Desk {
  if (desk.latest.some((known) => known.id === sale.id)) return desk
  const paid = sale.state !== 'placed'
  return {
    ...desk,
    orders: desk.orders + 1,
    units: desk.units + unitsOf(sale),
    placedAmount: desk.placedAmount + sale.total.amount,
    paid: desk.paid + (paid ? 1 : 0),
    paidAmount: desk.paidAmount + (paid ? sale.total.amount : 0),
    latest: [sale, ...desk.latest].slice(0, LATEST_MAX),
  }
}

/** An order was paid. One too old for the list is counted without its sum: the next reading brings it. */
export function paid(desk: Desk, id: string): Desk {
  const sale = desk.latest.find((known) => known.id === id)
  if (!sale) return { ...desk, paid: Math.min(desk.orders, desk.paid + 1) }
  if (sale.state !== 'placed') return desk
  return {
    ...desk,
    paid: desk.paid + 1,
    paidAmount: desk.paidAmount + sale.total.amount,
    latest: desk.latest.map((known) => (known.id === id ? { ...known, state: 'paid' } : known)),
  }
}

export function unitsOf(sale: Sale): number {
  return sale.lines.reduce((sum, line) => sum + line.quantity, 0)
}

/** More orders came than the socket tells one by one: they are counted, their sums come with the next reading. */
export function soldMore(desk: Desk, orders: number): Desk {
  return { ...desk, orders: desk.orders + orders }
}

export function saleOfFrame(brief: SaleBrief): Sale {
  const lines = brief.lines.map(({ title, qty }) => ({ title, quantity: qty }))
  return { id: brief.id, state: 'placed', total: brief.total, placed_at: brief.placed_at, buyer: brief.buyer, lines }
}

export function saleOfOrder(order: ShopOrder): Sale {
  const lines = order.lines.map(({ title, quantity }) => ({ title, quantity }))
  return { id: order.id, state: order.state, total: order.total, placed_at: order.placed_at, buyer: order.buyer?.name ?? null, lines }
}
