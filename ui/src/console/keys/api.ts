/** Keys and sandbox shops, as the page asks for them. */
import { ask, call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'

type Schemas = components['schemas']
export type Key = Schemas['Token']
export type ShopKey = Schemas['ShopKey']
export type MadeKey = Schemas['MadeToken']
export type NewKey = Schemas['NewToken']
export type KeyScope = Schemas['TokenScope']
export type SimulatedOrder = Schemas['ShopOrderView']
export type Happening = Schemas['Happening']
export type ExportKind = Schemas['ExportKindView']

export const listKeys = () => call('get', '/api/tokens')
export const listShopKeys = (shop_id: string) => call('get', '/api/shops/{shop_id}/keys', { path: { shop_id } })
export const makeKey = (body: NewKey) => call('post', '/api/tokens', { body })
export const rotateKey = (token_id: string, body: Schemas['Rotation']) =>
  call('post', '/api/tokens/{token_id}/rotation', { path: { token_id }, body })
export const revokeKey = (token_id: string) => call('delete', '/api/tokens/{token_id}', { path: { token_id } })
export const revokeShopKey = (shop_id: string, token_id: string) =>
  call('delete', '/api/shops/{shop_id}/keys/{token_id}', { path: { shop_id, token_id } })

export const makeSandbox = (body: Schemas['NewSandboxShop']) => call('post', '/api/sandbox-shops', { body })
export const simulateOrder = (shop_id: string, id: string) =>
  call('post', '/api/shops/{shop_id}/sandbox/orders', { path: { shop_id }, body: { id } })
export const simulate = (shop_id: string, order_id: string, body: Schemas['NewHappening']) =>
  call('post', '/api/shops/{shop_id}/sandbox/orders/{order_id}/happenings', { path: { shop_id, order_id }, body })
export const listOrders = (shop_id: string) =>
  call('get', '/api/shops/{shop_id}/orders', { path: { shop_id }, query: { limit: 8 } })

export const listExports = (shop_id: string) => call('get', '/api/shops/{shop_id}/exports', { path: { shop_id } })
export const exportUrl = (shop: string, kind: string, form: 'csv' | 'jsonl') => `/api/shops/${shop}/exports/${kind}?form=${form}`
export const archiveUrl = (shop: string, form: 'csv' | 'jsonl') => `/api/shops/${shop}/export.zip?form=${form}`

/** The API's own description; read once, when somebody looks something up. */
let described: Promise<Description> | null = null
export const describe = () => (described ??= ask<Description>('get', '/openapi.json'))

export interface Operation {
  operationId: string; summary: string; description: string; tags: string[]
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Record<string, unknown> }[]
  requestBody?: { content: Record<string, { example?: unknown; schema: Record<string, unknown> }> }
  responses: Record<string, { description?: string; content?: Record<string, { example?: unknown }> }>
}
export interface Description {
  info: { description: string; version: string }
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  'x-problem-types': Record<string, { status: number; title: string }>
}
