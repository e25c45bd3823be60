/** Every question the console asks the server, in one place. Lists answer `{items, next}`; what is created carries our id. */
import { ask, Refused } from '@/shared/api/ask'
import type {
  CartItem, Me, Money, Options, Order, OrderState, Page, Product, Seat, Shop, Show, ShowState, Sku, Ticket,
  Promised, Wave,
} from '@/shared/api/types'
import type { components } from '@/shared/api/schema'
import { newId } from '@/shared/ids'
import { useSession } from '@/shared/session'
import type { Sale, Sales } from './desk/sales'
import type { PromiseBody, WaveBody } from './desk/waves'

export interface ShopForm { name?: string; about?: string; stores?: Shop['stores']; price_protection_days?: number }
/** The key is whole once, when it was just made; afterwards its head; none was made when null. */
export interface Ingest { rtmp_url: string; key: string | null; issued_at?: string | null }
export interface Room { id: string; title: string; cover: string | null; shop_id: string; streamer_id?: string; ingest: Ingest }
export interface IngestStats {
  state: 'idle' | 'live' | 'away' | 'ended'
  bits_per_s: number; frames_per_s: number; width: number; height: number; codecs: string
  last_packet_age_s: number | null; interruptions: number; live_since: string | null; away_since: string | null
  door: string; transcoding: boolean; refusals: IngestRefusal[]
}
/** Somebody who wanted to send this room's picture and was refused, `count` times, last at `at`; the key is masked. */
export interface IngestRefusal { door: string; code: string; title: string; key: string; address: string; count: number; at: string }
export interface ShopSeat { account_id: string; handle: string; name: string; scopes: string[]; is_owner: boolean }
export interface Device { id: string; user_agent: string; address: string; created_at: string; last_seen_at: string; current: boolean }
export type ShopOrder = Order & { buyer?: { id: string; name: string } | null; note?: string | null; paid_at?: string | null; ended_at?: string | null; end_reason?: string | null }
export interface Movement { id: string; kind: string; quantity: number; order_id: string | null; note: string | null; at: string }
export type ShopProduct = Product & { version?: number }
export interface ProductForm { title: string; description: string; images: string[]; category: string; tax_bps: number; shipping_template_id: string | null; brand_id: string | null }
export interface SkuForm { code: string; options: Options; price: Money; list_price: Money | null; weight_grams: number }
export type ShippingTemplate = components['schemas']['ShippingTemplate']
export type ShippingRule = components['schemas']['Rule']
export type ShippingMeasure = components['schemas']['Measure']
export type Place = components['schemas']['Place']
export type Invoice = components['schemas']['InvoiceView']
/** `prices` may name some of the SKUs; `position` counts from zero. */
export interface CartPatch {
  position?: number; on_shelf?: boolean; prices?: { sku_id: string; price: Money }[]
  limit_per_person?: number | null; sale_ends_at?: string | null
}
export interface ImportReport {
  read: number; created: number; updated: number; unchanged: number; refused: number
  errors: { line: number; field: string | null; code: string; reason: string }[]
}
export type BookStatus = components['schemas']['StatusView']
export type BookIncident = components['schemas']['AuditIncidentView']
export type BookRun = components['schemas']['AuditRunView']
export interface AuditEntry {
  id: string; at: string; actor_id: string | null; act: string; subject: string; detail: Record<string, unknown>
  address: string | null; request_id: string | null
}

type Query = Record<string, string | number | boolean | null | undefined>

// shops and seats
export const openShop = (body: { id: string; name: string; currency: string }) => ask<Shop>('post', '/api/shops', { body })
export const getShop = (id: string) => ask<Shop>('get', '/api/shops/{id}', { path: { id } })
export const changeShop = (id: string, body: ShopForm) => ask<Shop>('patch', '/api/shops/{id}', { path: { id }, body })
export const listSeats = (id: string) => ask<Page<ShopSeat>>('get', '/api/shops/{id}/seats', { path: { id } })
export const grantSeat = (id: string, body: { handle: string; scopes: string[] }) =>
  ask<ShopSeat>('post', '/api/shops/{id}/seats', { path: { id }, body })
export const revokeSeat = (id: string, account: string) =>
  ask<void>('delete', '/api/shops/{id}/seats/{account}', { path: { id, account } })

// rooms and shows
export const getRoom = () => maybe(ask<Room>('get', '/api/rooms/mine'))
export const makeRoom = (body: { id: string; shop_id: string; title: string }) => ask<Room>('post', '/api/rooms/mine', { body })
export const rotateKey = () => ask<Ingest>('post', '/api/rooms/mine/ingest-key', { body: {} })
export const listShows = (shop: string, query: { state?: ShowState; after?: string | null; limit?: number } = {}) =>
  ask<Page<Show>>('get', '/api/shops/{shop}/shows', { path: { shop }, query })
export const newShow = (body: { id: string; room_id: string; title: string; cover?: string; planned_at?: string }) =>
  ask<Show>('post', '/api/shows', { body })
export const getShow = (id: string) => ask<Show>('get', '/api/shows/{id}', { path: { id } })
export const changeShow = (id: string, body: { title?: string; cover?: string | null; planned_at?: string | null }) =>
  ask<Show>('patch', '/api/shows/{id}', { path: { id }, body })
export const startShow = (id: string) => ask<Show>('post', '/api/shows/{id}/start', { path: { id }, body: {} })
export const endShow = (id: string) => ask<Show>('post', '/api/shows/{id}/end', { path: { id }, body: {} })
export const getIngest = (id: string) => ask<IngestStats>('get', '/api/shows/{id}/ingest', { path: { id } })
/** One connection's permission to send a show's picture from this browser. */
export const askToPublish = (id: string) =>
  ask<{ ticket: string; ws_path: string; expires_at: string }>('post', '/api/shows/{id}/publications', { path: { id }, body: {} })
export const getSales = (id: string) => ask<Sales>('get', '/api/shows/{id}/sales', { path: { id } })
export const getTicket = (id: string) => ask<Ticket>('post', '/api/shows/{id}/tickets', { path: { id }, body: { entry: null } })

// the show's cart
export const listCart = (show: string) => ask<{ items: CartItem[] }>('get', '/api/shows/{show}/cart', { path: { show } })
export const addToCart = (
  show: string,
  body: { id: string; product_id: string; prices: { sku_id: string; price: Money }[]; limit_per_person?: number | null },
) => ask<CartItem>('post', '/api/shows/{show}/cart', { path: { show }, body })
export const changeCartItem = (id: string, body: CartPatch & { expected_version?: number }) =>
  ask<CartItem>('patch', '/api/cart-items/{id}', { path: { id }, body })
export const removeCartItem = (id: string) => ask<void>('delete', '/api/cart-items/{id}', { path: { id } })
export const pinItem = (show: string, item_id: string | null) =>
  ask<void>('put', '/api/shows/{show}/pin', { path: { show }, body: { item_id } })

// waves and promises
export const planWave = (item: string, body: WaveBody) => ask<Wave>('post', '/api/cart-items/{item}/waves', { path: { item }, body })
export const openWave = (id: string) => ask<Wave>('post', '/api/waves/{id}/opening', { path: { id }, body: {} })
export const closeWave = (id: string) => ask<Wave>('post', '/api/waves/{id}/closing', { path: { id }, body: {} })
export const addPieces = (wave: string, sku_id: string, pieces: number) =>
  ask<Wave>('post', '/api/waves/{wave}/pieces', { path: { wave }, body: { id: newId(), sku_id, pieces } })
export const sayPromise = (item: string, body: PromiseBody) =>
  ask<Promised>('post', '/api/cart-items/{item}/promises', { path: { item }, body })

// products and stock
export const listProducts = (shop: string, query: Query = {}) =>
  ask<Page<ShopProduct>>('get', '/api/shops/{shop}/products', { path: { shop }, query })
export const getProduct = (id: string) => ask<ShopProduct>('get', '/api/products/{id}', { path: { id } })
export const newProduct = (shop: string, body: ProductForm & { id: string }) =>
  ask<ShopProduct>('post', '/api/shops/{shop}/products', { path: { shop }, body })
export const changeProduct = (id: string, body: Partial<ProductForm> & { state?: string; expected_version?: number }) =>
  ask<ShopProduct>('patch', '/api/products/{id}', { path: { id }, body })
export const newSku = (product: string, body: SkuForm & { id: string; stock?: number }) =>
  ask<Sku>('post', '/api/products/{product}/skus', { path: { product }, body })
export const changeSku = (id: string, body: Partial<SkuForm> & { state?: string }) =>
  ask<Sku>('patch', '/api/skus/{id}', { path: { id }, body })
export const moveStock = (sku: string, body: { kind: 'received' | 'corrected'; quantity: number; note: string | null }) =>
  ask<unknown>('post', '/api/skus/{sku}/movements', { path: { sku }, body: { id: newId(), ...body } })
export const listMovements = (sku: string, after?: string | null) =>
  ask<Page<Movement>>('get', '/api/skus/{sku}/movements', { path: { sku }, query: { after, limit: 50 } })
/** What may be put in a cart: listed products with something to choose. */
export const searchListed = (shop_id: string, query: { q?: string; after?: string | null; limit?: number }) =>
  ask<Page<Product>>('get', '/api/products', { query: { shop_id, ...query } })
export const exportProductsUrl = (shop: string) => `/api/shops/${shop}/products.csv`

/** Sends the file as it is; a dry run reports every row and changes nothing. */
export async function importProducts(shop: string, file: Blob, dryRun: boolean): Promise<ImportReport> {
  let answer: Response
  try {
    answer = await fetch(`${exportProductsUrl(shop)}?dry_run=${dryRun}`, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'text/csv; charset=utf-8', 'X-CSRF-Token': useSession().me?.csrf_token ?? '' },
      body: file,
    })
  } catch {
    throw new Refused('offline', 0)
  }
  const body = await answer.json().catch(() => null)
  if (answer.ok) return body as ImportReport
  throw new Refused(body?.type?.split('/').pop() ?? 'server-error', answer.status, body ?? {})
}

// videos
export type OwnVideo = components['schemas']['OwnVideo']
export interface VideoPatch {
  title?: string; cover?: string | null; product_ids?: string[]; warms_up?: string | null; state?: OwnVideo['state']
}
export const listVideos = (shop: string, query: Query = {}) =>
  ask<Page<OwnVideo>>('get', '/api/shops/{shop}/videos', { path: { shop }, query })
export const newVideo = (shop: string, body: { id: string; upload_id: string; title: string }) =>
  ask<OwnVideo>('post', '/api/shops/{shop}/videos', { path: { shop }, body })
export const changeVideo = (id: string, body: VideoPatch) => ask<OwnVideo>('patch', '/api/videos/{id}', { path: { id }, body })

// orders
export const listOrders = (shop: string, query: { state?: OrderState; q?: string; show_id?: string; after?: string | null; limit?: number } = {}) =>
  ask<Page<ShopOrder>>('get', '/api/shops/{shop}/orders', { path: { shop }, query })
export const getOrder = (shop: string, id: string) => ask<ShopOrder>('get', '/api/shops/{shop}/orders/{id}', { path: { shop, id } })

// shipping templates and invoices
export const listTemplates = (shop: string) => ask<Page<ShippingTemplate>>('get', '/api/shops/{shop}/shipping-templates', { path: { shop } })
export const putTemplate = (shop: string, id: string, body: components['schemas']['ShippingTemplateContent']) =>
  ask<ShippingTemplate>('put', '/api/shops/{shop}/shipping-templates/{id}', { path: { shop, id }, body })
export const deleteTemplate = (shop: string, id: string) =>
  ask<void>('delete', '/api/shops/{shop}/shipping-templates/{id}', { path: { shop, id } })
export const listInvoices = (shop: string, query: Query = {}) =>
  ask<Page<Invoice>>('get', '/api/shops/{shop}/invoices', { path: { shop }, query })
export const issueInvoice = (shop: string, id: string) =>
  ask<Invoice>('post', '/api/shops/{shop}/invoices/{id}/number', { path: { shop, id }, body: {} })
export const exportInvoicesUrl = (shop: string) => `/api/shops/${shop}/invoices.csv`

// account and operator
export const changeMe = (body: { name?: string; about?: string; locale?: string }) => ask<Me>('patch', '/api/me', { body })
export const changePassword = (body: { old: string; new: string }) => ask<void>('post', '/api/me/password', { body })
export const listSessions = () => ask<Page<Device>>('get', '/api/sessions')
export const endSession = (id: string) => ask<void>('delete', '/api/sessions/{id}', { path: { id } })
export const getBooksStatus = () => ask<BookStatus>('get', '/api/status')
export const listBookIncidents = (query: Query = {}) => ask<Page<BookIncident>>('get', '/api/audit/incidents', { query })
export const listBookRuns = (query: Query = {}) => ask<Page<BookRun>>('get', '/api/audit/runs', { query })
export const askForRun = () => ask<{ asked_at: string }>('post', '/api/audit/runs')
export const listAuditLog = (query: { subject?: string; after?: string | null }) =>
  ask<Page<AuditEntry>>('get', '/api/audit-log', { query })

/** Absent is an answer here, not an error. */
async function maybe<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null
    throw error
  }
}

export type { Sale, Sales, Seat }
