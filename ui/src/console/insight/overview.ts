/** GMV and its factors: how the server is asked, and how its rows become cards, curves and tables. Nothing is computed here that the server did not say. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Band, Curve } from './parts/bands'
import type { Period } from './parts/period'
import { inkOf, inOrder, SOURCES, wordOf } from './parts/sources'
import type { Column, Unit } from './parts/table'

type Schemas = components['schemas']
export type Overview = Schemas['GmvOverview']
export type OfSource = Schemas['GmvOfSource']
export type Figures = Omit<OfSource, 'period' | 'since' | 'until' | 'source'>
export type OfDay = Figures & { day: string; source: string }
export type OfShow = Schemas['GmvOfShow']
export type OfSurface = Schemas['GmvOfSurface']
export type Kind = Schemas['GmvKind']
export type FigureLevel = Schemas['Level']

/** What days are taken apart by. */
export const BY_DAY = ['day', 'source'] as const

export const KINDS: readonly Kind[] = ['placed', 'paid', 'net']

export interface Asked {
  level: FigureLevel
  of?: string
  kind: Kind
  currency?: string
  since?: string
  until?: string
}

export const compared = (before: Period | null) => (before ? { before_since: before.since, before_until: before.until } : {})
export const getOverview = (asked: Asked, before: Period | null = null, signal?: AbortSignal) =>
  call('get', '/api/insight/overview', { query: { ...asked, ...compared(before) }, signal })
/** Day by day and source by source. */
export async function listDaysOf(asked: Asked, signal?: AbortSignal): Promise<{ items: OfDay[] }> {
  const { items } = await call('get', '/api/insight/gmv', { query: { ...asked, by: [...BY_DAY] }, signal })
  return { items: items.map((row) => ({ ...row, day: row.day ?? '', source: row.source ?? '' })) }
}
export const listShowsOf = (asked: Asked, signal?: AbortSignal) => call('get', '/api/insight/overview/shows', { query: { ...asked }, signal })
export const listSurfacesOf = (asked: Asked, signal?: AbortSignal) => call('get', '/api/insight/overview/surfaces', { query: { ...asked }, signal })

export interface Factor {
  key: 'uv' | 'watch_per_viewer' | 'buyers_per_watch' | 'orders_per_buyer' | 'conversion' | 'gmv_per_order'
  unit: Unit
  of: (row: Figures) => number | null
}

const UV: Factor = { key: 'uv', unit: 'count', of: (row) => row.uv }
const ORDER: Factor = { key: 'gmv_per_order', unit: 'money', of: (row) => row.gmv_per_order_amount }
const FIVE: readonly Factor[] = [
  UV,
  { key: 'watch_per_viewer', unit: 'seconds', of: (row) => row.watch_per_viewer_s },
  { key: 'buyers_per_watch', unit: 'ratio', of: (row) => row.buyers_per_watch_hour },
  { key: 'orders_per_buyer', unit: 'ratio', of: (row) => row.orders_per_buyer },
  ORDER,
]
const THREE: readonly Factor[] = [UV, { key: 'conversion', unit: 'share', of: (row) => row.conversion }, ORDER]

/** What the GMV is the product of: five factors, or three where nobody watches. */
export const factorsOf = (row: Figures): readonly Factor[] => (row.watch_s > 0 ? FIVE : THREE)

/** Which of a day's figures a curve shows. Those that add up over sources are stacked; people are not: who came by two ways is one of each. */
export const SHOWN = ['gmv', 'orders', 'watch', 'uv'] as const
export type Shown = (typeof SHOWN)[number]
const MEASURES: Record<Shown, { unit: Unit; stack: boolean; of: (row: Figures) => number }> = {
  gmv: { unit: 'money', stack: true, of: (row) => row.gmv_amount },
  orders: { unit: 'count', stack: true, of: (row) => row.orders },
  watch: { unit: 'seconds', stack: true, of: (row) => row.watch_s },
  uv: { unit: 'count', stack: false, of: (row) => row.uv },
}

/** A day's figures as one band: a curve a source that has any, in the order of sources, zero where a day has none. */
export function bandOf(rows: readonly OfDay[], days: readonly string[], shown: Shown, name: string, currency: string): Band {
  const { unit, stack, of } = MEASURES[shown]
  const place = new Map(days.map((day, at) => [day, at]))
  const curves = new Map<string, Curve>()
  for (const row of inOrder(rows, (one) => one.source)) {
    const at = place.get(row.day)
    if (at === undefined) continue
    let curve = curves.get(row.source)
    if (!curve) {
      curve = { name: wordOf(row.source), ink: inkOf(row.source), values: days.map(() => 0), ...(stack ? { stack: shown, kind: 'bar' as const } : {}) }
      curves.set(row.source, curve)
    }
    curve.values[at] = of(row)
  }
  const all = [...curves.values()].filter((curve) => curve.values.some((value) => value !== 0))
  return { name, unit, currency, curves: all, height: 240 }
}

/** The sources of both periods, each with its row in the one and the other. */
export function pairs(now: readonly OfSource[], before: readonly OfSource[]): { source: string; now: OfSource | null; before: OfSource | null }[] {
  const found = new Map<string, { source: string; now: OfSource | null; before: OfSource | null }>()
  const at = (source: string) => {
    if (!found.has(source)) found.set(source, { source, now: null, before: null })
    return found.get(source)!
  }
  for (const row of now) at(row.source ?? '').now = row
  for (const row of before) at(row.source ?? '').before = row
  return inOrder([...found.values()], (one) => one.source)
}

/** Columns of whole numbers and factors, in the order in which they multiply. `named` says a key in words. */
export function columnsOf(currency: string, named: (key: string) => string): { column: Column; of: (row: Figures) => number | null }[] {
  const make = (key: string, unit: Unit, of: (row: Figures) => number | null, define = key) => ({ column: { name: named(key), unit, currency, define }, of })
  return [
    make('uv', 'count', (row) => row.uv),
    make('watch', 'seconds', (row) => row.watch_s),
    make('watch_per_viewer', 'seconds', (row) => row.watch_per_viewer_s),
    make('buyers', 'count', (row) => row.buyers),
    make('buyers_per_watch', 'ratio', (row) => row.buyers_per_watch_hour),
    make('orders', 'count', (row) => row.orders),
    make('orders_per_buyer', 'ratio', (row) => row.orders_per_buyer),
    make('conversion', 'share', (row) => row.conversion),
    make('gmv_per_order', 'money', (row) => row.gmv_per_order_amount),
  ]
}

/** Of a whole; nothing of nothing. */
export const shareOf = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole)

export { SOURCES }
