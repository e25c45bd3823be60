/** The house's rates and terms, and the names that a rate is about. */
import { ask } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { listShows } from '../api'

type Schemas = components['schemas']
export type Rate = Schemas['RateView']
export type RateKind = Schemas['RateKind']
export type Term = Schemas['SettlementTermView']
export type RatePreview = Schemas['RatePreview']

export const listRates = (query: { kind?: RateKind; all?: boolean; after?: string | null }) => ask<Page<Rate>>('get', '/api/rates', { query })
export const setRate = (body: Schemas['NewHouseRate']) => ask<Rate>('post', '/api/rates', { body })
export const listTerms = (query: { after?: string | null }) => ask<Schemas['SettlementTerms']>('get', '/api/terms', { query })
export const setTerm = (body: Schemas['NewSettlementTerm']) => ask<Term>('post', '/api/terms', { body })
/** Categories on the shelf; none is no trouble, one may be typed. */
export const listCategories = (shop_id?: string) =>
  ask<Schemas['Categories']>('get', '/api/categories', { query: { shop_id } }).then((found) => found.items).catch(() => [])

/** Who holds shows in a shop, by the latest of them. */
export async function listStreamers(shop: string): Promise<{ id: string; name: string }[]> {
  const shows = await listShows(shop, { limit: 100 }).then((page) => page.items).catch(() => [])
  return [...new Map(shows.map(({ streamer }) => [streamer.id, { id: streamer.id, name: streamer.name }])).values()]
}
