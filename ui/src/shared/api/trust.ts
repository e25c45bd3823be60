/** Guarantees and the deposit behind them: the questions that phone and console ask. */
import { call } from './ask'
import type { components } from './schema'

type Schemas = components['schemas']
export type Guarantee = Schemas['PromiseView']
export type GuaranteeKind = Schemas['PromiseKind']
export type Pledge = Schemas['PledgeView']
export type Deposit = Schemas['DepositView']
export type Payout = Schemas['PayoutView']
export type LineGuarantee = Schemas['LineGuarantee']

export const listGuarantees = (product_id: string[]) => call('get', '/api/guarantees', { query: { product_id } })
export const listOrderGuarantees = (order_id: string) => call('get', '/api/orders/{order_id}/guarantees', { path: { order_id } })
export const listShopOrderGuarantees = (shop_id: string, order_id: string) =>
  call('get', '/api/shops/{shop_id}/orders/{order_id}/guarantees', { path: { shop_id, order_id } })
export const getShopPledge = (shop_id: string) => call('get', '/api/shops/{shop_id}/pledge', { path: { shop_id } })
export const putShopPledge = (shop_id: string, id: string, promises: Guarantee[]) =>
  call('put', '/api/shops/{shop_id}/pledge', { path: { shop_id }, body: { id, promises } })
export const putProductPledge = (product_id: string, id: string, promises: Guarantee[]) =>
  call('put', '/api/products/{product_id}/pledge', { path: { product_id }, body: { id, promises } })
export const clearProductPledge = (product_id: string) => call('delete', '/api/products/{product_id}/pledge', { path: { product_id } })
export const getDeposit = (shop_id: string) => call('get', '/api/shops/{shop_id}/deposit', { path: { shop_id } })
export const moveDeposit = (shop_id: string, movement: Schemas['NewDepositMovement']) =>
  call('post', '/api/shops/{shop_id}/deposit/movements', { path: { shop_id }, body: movement })
export const topUpDeposit = (shop_id: string, topup: Schemas['NewTopup']) =>
  call('post', '/api/shops/{shop_id}/deposit/topups', { path: { shop_id }, body: topup })
export const listPayouts = (shop_id: string, after: string | null) => call('get', '/api/shops/{shop_id}/payouts', { path: { shop_id }, query: { after: after ?? undefined } })
export const getShopWallet = (shop_id: string) => call('get', '/api/shops/{shop_id}/wallet', { path: { shop_id } })
