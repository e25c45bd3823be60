/** An order's way to its buyer: what the server is asked, and what of it is shown. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { currentLocale } from '@/shared/i18n'

type Schemas = components['schemas']
export type Delivery = Schemas['DeliveryView']
export type Parcel = Schemas['ParcelView']

export const getDelivery = (order_id: string) => call('get', '/api/orders/{order_id}/parcels', { path: { order_id } })
export const confirmReceipt = (order_id: string) => call('post', '/api/orders/{order_id}/receipt', { path: { order_id }, body: {} })
export const extendTime = (order_id: string) => call('post', '/api/orders/{order_id}/extension', { path: { order_id }, body: {} })
export const getPromise = (product_id: string) => call('get', '/api/products/{product_id}/dispatch', { path: { product_id } })

export const carrierName = (parcel: Parcel): string => (currentLocale() === 'zh-CN' ? parcel.carrier.zh : parcel.carrier.en)

/** Called off parcels are the shop's affair. */
export const shownParcels = (delivery: Delivery | null): Parcel[] => (delivery?.parcels ?? []).filter((parcel) => parcel.state !== 'cancelled')

/** The four stations that everybody knows, and how many are behind it. */
export const STATIONS = ['paid', 'shipped', 'delivered', 'completed'] as const
export function stationOf(delivery: Delivery): number {
  if (delivery.state === 'completed') return 3
  if (delivery.stage === 'delivered') return 2
  return delivery.stage === 'shipped' || delivery.stage === 'partly' ? 1 : 0
}

/** Days and hours until an instant, for people. */
export function timeTo(iso: string, now: number): { days: number; hours: number } {
  const hours = Math.max(0, Math.floor((Date.parse(iso) - now) / 3_600_000))
  return { days: Math.floor(hours / 24), hours: hours % 24 }
}
