/** What the pages of brands and batches ask the server. */
import { call } from '@/shared/api/ask'
import { sendBytes } from '@/shared/api/bytes'
import type { components } from '@/shared/api/schema'
import { newId } from '@/shared/ids'

type Schemas = components['schemas']
export type Brand = Schemas['BrandView']
export type BrandName = Schemas['BrandName']
export type Trademark = Schemas['Trademark']
export type TrademarkDraft = Schemas['TrademarkDraft']
export type Authorisation = Schemas['Authorisation']
export type Contest = Schemas['Contest']
export type Batch = Schemas['BatchView']
export type NewBatch = Schemas['NewBatch']
export type BatchOrder = Schemas['BatchOrder']
export type BroughtDocument = Schemas['DocumentView']
export type BrandOfProduct = Schemas['BrandOfProduct']
export interface Terms {
  categories: string[]; is_online: boolean; stores: string[]; starts_at: string; ends_at: string; document_id: string | null; note: string
}

export const listOwnBrands = () => call('get', '/api/brands/mine')
export const listAskedBrands = (after?: string | null) => call('get', '/api/brands/asked', { query: { after } })
export const searchBrands = (q: string) => call('get', '/api/brands', { query: { q } })
export const askBrand = (body: Schemas['NewBrand']) => call('post', '/api/brands', { body })
export const addTrademark = (brand_id: string, body: TrademarkDraft) =>
  call('post', '/api/brands/{brand_id}/trademarks', { path: { brand_id }, body })
export const decideBrand = (brand_id: string, verified: boolean, reason: string) =>
  call('post', '/api/brands/{brand_id}/decision', { path: { brand_id }, body: { verified, reason } })
export const decideTrademark = (trademark_id: string, verified: boolean, reason: string) =>
  call('post', '/api/trademarks/{trademark_id}/decision', { path: { trademark_id }, body: { verified, reason } })

export const listDealers = (brand_id: string, after?: string | null) =>
  call('get', '/api/brands/{brand_id}/authorisations', { path: { brand_id }, query: { after } })
export const listAuthorisations = (shop_id: string, after?: string | null) =>
  call('get', '/api/shops/{shop_id}/authorisations', { path: { shop_id }, query: { after } })
export const grantBrand = (brand_id: string, shop_id: string, terms: Terms) =>
  call('post', '/api/brands/{brand_id}/authorisations', { path: { brand_id }, body: { id: newId(), shop_id, ...terms } })
export const askForBrand = (shop_id: string, brand_id: string, terms: Terms) =>
  call('post', '/api/shops/{shop_id}/authorisations', { path: { shop_id }, body: { id: newId(), brand_id, ...terms } })
export const answerShop = (authorisation_id: string, granted: boolean, reason: string) =>
  call('post', '/api/authorisations/{authorisation_id}/decision', { path: { authorisation_id }, body: { granted, reason } })
export const revoke = (authorisation_id: string, reason: string) =>
  call('post', '/api/authorisations/{authorisation_id}/revocation', { path: { authorisation_id }, body: { reason } })
export const findShops = (name: string) => call('get', '/api/shops', { query: { name } })

export const listContests = () => call('get', '/api/brand-contests')
export const contestBrand = (product_id: string, brand_id: string, statement: string) =>
  call('post', '/api/products/{product_id}/brand-contests', { path: { product_id }, body: { brand_id, statement } })
export const decideContest = (product_id: string, brand_id: string, accepted: boolean, reason: string) =>
  call('post', '/api/products/{product_id}/brand-contests/{brand_id}/decision', { path: { product_id, brand_id }, body: { accepted, reason } })

export const getProvenance = (product_id: string) => call('get', '/api/products/{product_id}/provenance', { path: { product_id } })
export const listBatches = (product_id: string, after?: string | null) =>
  call('get', '/api/products/{product_id}/batches', { path: { product_id }, query: { after } })
export const addBatch = (product_id: string, body: NewBatch) => call('post', '/api/products/{product_id}/batches', { path: { product_id }, body })
export const makeCurrent = (batch_id: string) => call('put', '/api/batches/{batch_id}/current', { path: { batch_id } })
export const closeBatch = (batch_id: string) => call('post', '/api/batches/{batch_id}/closure', { path: { batch_id }, body: { reason: '' } })
export const recallBatch = (batch_id: string, reason: string) =>
  call('post', '/api/batches/{batch_id}/recall', { path: { batch_id }, body: { reason } })
export const listBatchOrders = (batch_id: string, after?: string | null) =>
  call('get', '/api/batches/{batch_id}/orders', { path: { batch_id }, query: { after } })

/** A PDF or a picture; kept are the pictures of its pages. */
export const sendDocument = (file: Blob) => sendBytes<BroughtDocument>('PUT', `/api/documents/${newId()}`, file)
