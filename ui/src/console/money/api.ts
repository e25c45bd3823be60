/** Balances and statements, a shop's or one's own as a streamer; what was agreed about shares. */
import { ask } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'

type Schemas = components['schemas']
export type Balance = Schemas['BalanceView']
export type Waiting = Schemas['WaitingView']
export type StatementMonth = Schemas['StatementMonth']
export type Statement = Schemas['SettlementStatement']
export type StatementSum = Schemas['StatementSum']
export type StatementLine = Schemas['StatementLine']
export type Rate = Schemas['RateView']
export type RatePreview = Schemas['RatePreview']
export type NewStreamerRate = Schemas['NewStreamerRate']

/** Whose money: a shop's, or (null) one's own. */
export type Owner = string | null

const root = (owner: Owner) => (owner ? `/api/shops/${owner}` : '/api/me')

export const getBalance = (owner: Owner) => ask<Schemas['BalanceViews']>('get', `${root(owner)}/balance`)
export const listMonths = (owner: Owner) => ask<Schemas['StatementMonths']>('get', `${root(owner)}/statements`)
export const getStatement = (owner: Owner, month: string, currency?: string) =>
  ask<Statement>('get', `${root(owner)}/statements/{month}`, { path: { month }, query: { currency } })
export const listLines = (owner: Owner, month: string, query: { currency?: string; after?: string | null }) =>
  ask<Page<StatementLine>>('get', `${root(owner)}/statements/{month}/lines`, { path: { month }, query: { ...query, limit: 50 } })
export const sheetUrl = (owner: Owner, month: string, currency: string) =>
  `${root(owner)}/statements/${month}/lines.csv?currency=${currency}`
export const paperUrl = (owner: Owner, month: string, currency: string, lang: string) =>
  `${root(owner)}/statements/${month}/statement.pdf?currency=${currency}&lang=${lang}`
/** A shop's agreements with its streamers, or those that name me. */
export const listAgreements = (owner: Owner, query: { all?: boolean; after?: string | null }) =>
  ask<Page<Rate>>('get', `${root(owner)}/streamer-rates`, { query })
export const setAgreement = (shop: string, body: NewStreamerRate) =>
  ask<Rate>('post', '/api/shops/{shop}/streamer-rates', { path: { shop }, body })
export const getShopRates = (shop: string, query: { category?: string; streamer_id?: string }) =>
  ask<RatePreview>('get', '/api/shops/{shop}/rates', { path: { shop }, query })
