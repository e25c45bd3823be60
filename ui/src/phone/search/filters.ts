/** A search as its address says it: words, filters, order. */
import type { LocationQuery, LocationQueryRaw } from 'vue-router'
import type { ShelfAsk } from '@/shared/api/types'

export interface Filters {
  category?: string | null
  shop_id?: string | null
  brand_id?: string | null
  currency?: string | null
  price_min?: number | null
  price_max?: number | null
  in_stock?: boolean
  guaranteed?: boolean
  live?: boolean
}

export const SORTS = ['relevance', 'sales', 'price_up', 'price_down', 'newest'] as const
export type Sort = (typeof SORTS)[number]

const TEXTS = ['category', 'shop_id', 'brand_id', 'currency'] as const
const NUMBERS = ['price_min', 'price_max'] as const
const FLAGS = ['in_stock', 'guaranteed', 'live'] as const

export function readFilters(query: LocationQuery): Filters {
  const one = (name: string): string | null => (typeof query[name] === 'string' ? (query[name] as string) : null)
  const amount = (name: string): number | null => (/^\d{1,12}$/.test(one(name) ?? '') ? Number(one(name)) : null)
  return {
    ...Object.fromEntries(TEXTS.map((name) => [name, one(name)])),
    ...Object.fromEntries(NUMBERS.map((name) => [name, amount(name)])),
    ...Object.fromEntries(FLAGS.map((name) => [name, one(name) === '1'])),
  }
}

export function readSort(query: LocationQuery): Sort {
  return SORTS.find((one) => one === query.sort) ?? 'relevance'
}

/** What the server is asked; what is not said is left out. */
export function askOf(words: string, filters: Filters): ShelfAsk {
  const said = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== null && value !== undefined && value !== false && value !== ''))
  return { ...(words.trim() && { q: words.trim() }), ...said }
}

export function addressOf(words: string, filters: Filters, sort: Sort): LocationQueryRaw {
  const said = Object.entries(askOf(words, filters)).map(([name, value]) => [name, value === true ? '1' : String(value)])
  return { ...Object.fromEntries(said), ...(sort !== 'relevance' && { sort }) }
}

/** How many filters are set; a category's own page is not one. */
export function filterCount(filters: Filters, fixed: boolean): number {
  const { price_min, price_max, currency, category, ...others } = filters
  return Object.values(others).filter(Boolean).length + Number(price_min != null || price_max != null || Boolean(currency)) + Number(!fixed && Boolean(category))
}
