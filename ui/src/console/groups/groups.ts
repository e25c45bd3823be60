/** A group offer before it is made: what a form holds, what is missing, what is sent. */
import type { components } from '@/shared/api/schema'
import { ask } from '@/shared/api/ask'
import type { Money, Page } from '@/shared/api/types'
import type { ShopProduct } from '../api'

export type ShopGroup = components['schemas']['ShopGroupView']
export interface PriceRow { sku_id: string; name: string; shelf: Money; price: number | null; on: boolean }
export interface GroupForm { size: number; hours: number; limit: number; endsAt: string; rows: PriceRow[] }
export type Gap = 'price' | 'below' | 'size' | 'hours' | 'limit' | 'ends'

export const SIZE_MIN = 2
export const SIZE_MAX = 100
export const HOURS_MAX = 72
export const LIMIT_MAX = 99

export const listGroupOffers = (shop: string, after: string | null) =>
  ask<Page<ShopGroup>>('get', '/api/shops/{shop}/group-offers', { path: { shop }, query: { after } })
export const closeGroupOffer = (id: string) => ask('post', '/api/group-offers/{id}/closure', { path: { id }, body: {} })
export const offerGroup = (shop: string, id: string, product: string, form: GroupForm) =>
  ask('post', '/api/shops/{shop}/group-offers', { path: { shop }, body: bodyOf(id, product, form) })

export function rowsOf(product: ShopProduct): PriceRow[] {
  return product.skus.filter((sku) => sku.state === 'active').map((sku) => ({
    sku_id: sku.id, name: Object.values(sku.options).join(' · ') || sku.code, shelf: sku.price, price: null, on: true,
  }))
}

/** The first thing that is not right yet. */
export function gapOf(form: GroupForm, now: Date): Gap | null {
  const rows = form.rows.filter((row) => row.on)
  if (rows.length === 0 || rows.some((row) => !row.price)) return 'price'
  if (rows.some((row) => row.price! >= row.shelf.amount)) return 'below'
  const whole = (value: number, least: number, most: number) => Number.isInteger(value) && value >= least && value <= most
  if (!whole(form.size, SIZE_MIN, SIZE_MAX)) return 'size'
  if (!whole(form.hours, 1, HOURS_MAX)) return 'hours'
  if (!whole(form.limit, 1, LIMIT_MAX)) return 'limit'
  return Date.parse(form.endsAt) > now.getTime() ? null : 'ends'
}

export function bodyOf(id: string, product_id: string, form: GroupForm) {
  return {
    id, product_id, size: form.size, gather_hours: form.hours, limit_per_person: form.limit, ends_at: new Date(form.endsAt).toISOString(),
    prices: form.rows.filter((row) => row.on).map((row) => ({ sku_id: row.sku_id, price: { amount: row.price!, currency: row.shelf.currency } })),
  }
}

/** The local time of a week from now at midnight, as a date field holds it. */
export function inAWeek(now: Date): string {
  const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 8)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}T00:00`
}
