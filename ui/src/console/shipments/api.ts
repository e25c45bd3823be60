/** What the shipping page asks the server. */
import { ask, Refused } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { useSession } from '@/shared/session'

type Schemas = components['schemas']
export type Carrier = Schemas['CarrierView']
export type Delivery = Schemas['DeliveryView']
export type Parcel = Schemas['ParcelView']
export type Shipment = Schemas['ShipmentView']
export type Counts = Schemas['ShipmentCounts']
export type Report = Schemas['ShippingReport']
export type Dispatch = Schemas['Dispatch']
export type TrackingKind = Schemas['TrackingKind']
export type Tab = Schemas['Tab']
export interface ParcelForm { id: string; carrier: string; number: string; lines: { no: number; quantity: number }[] | null }

let known: Promise<Carrier[]> | null = null
/** Asked for once: the list changes with the release. */
export const listCarriers = (): Promise<Carrier[]> => (known ??= ask<Carrier[]>('get', '/api/carriers').catch((error: unknown) => {
  known = null
  throw error
}))

export const listShipments = (shop: string, query: { tab: Tab; after?: string | null; limit?: number }) =>
  ask<Page<Shipment>>('get', '/api/shops/{shop}/shipments', { path: { shop }, query })
export const countShipments = (shop: string) => ask<Counts>('get', '/api/shops/{shop}/shipment-counts', { path: { shop } })
export const getDelivery = (shop: string, order: string) =>
  ask<Delivery>('get', '/api/shops/{shop}/orders/{order}/parcels', { path: { shop, order } })
export const shipParcel = (shop: string, order: string, body: ParcelForm) =>
  ask<Delivery>('post', '/api/shops/{shop}/orders/{order}/parcels', { path: { shop, order }, body })
export const correctParcel = (shop: string, id: string, body: { carrier: string; number: string }) =>
  ask<Parcel>('patch', '/api/shops/{shop}/parcels/{id}', { path: { shop, id }, body })
export const cancelParcel = (shop: string, id: string) =>
  ask<Parcel>('post', '/api/shops/{shop}/parcels/{id}/cancellation', { path: { shop, id }, body: {} })
export const noteEvent = (shop: string, id: string, body: { id: string; kind: TrackingKind; place: string; note: string }) =>
  ask<Parcel>('post', '/api/shops/{shop}/parcels/{id}/events', { path: { shop, id }, body })
export const getDispatch = (shop: string) => ask<Dispatch>('get', '/api/shops/{shop}/dispatch', { path: { shop } })
export const putDispatch = (shop: string, body: Dispatch) => ask<Dispatch>('put', '/api/shops/{shop}/dispatch', { path: { shop }, body })
export const sheetUrl = (shop: string, language: string) => `/api/shops/${shop}/shipments.csv?language=${language.slice(0, 2)}`

export async function listPacking(shop: string, orders: string[]): Promise<Shipment[]> {
  const answer = await fetch(`/api/shops/${shop}/packing-list?${orders.map((id) => `order=${id}`).join('&')}`, { credentials: 'same-origin' })
    .catch(() => { throw new Refused('offline', 0) })
  return (await read(answer)) as Shipment[]
}

/** Sends the sheet as it is, in whatever encoding the spreadsheet wrote it. */
export async function importSheet(shop: string, file: Blob): Promise<Report> {
  const answer = await fetch(`/api/shops/${shop}/shipments.csv`, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'Content-Type': 'text/csv', 'X-CSRF-Token': useSession().me?.csrf_token ?? '' },
    body: file,
  }).catch(() => { throw new Refused('offline', 0) })
  return (await read(answer)) as Report
}

async function read(answer: Response): Promise<unknown> {
  const body = await answer.json().catch(() => null)
  if (answer.ok) return body
  throw new Refused(body?.type?.split('/').pop() ?? 'server-error', answer.status, body ?? {})
}
