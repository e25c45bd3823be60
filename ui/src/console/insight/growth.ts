/** How the period compares with a month and a year before: the server's rows as lines of a table, and days laid over each other. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { currentLocale, t } from '@/shared/i18n'
import type { Kind, OfDay } from './overview'
import type { Bands } from './parts/bands'
import { addDays, listDays, type Period } from './parts/period'
import { say, type Column } from './parts/table'

export type Growth = components['schemas']['GrowthAnswer']
export type GrowthRow = components['schemas']['GrowthRow']
export type Missing = components['schemas']['Missing']
export type AskedGrowth = { level: components['schemas']['Level']; of?: string; kind: Kind; currency?: string; since?: string; until?: string }

export const getGrowth = (asked: AskedGrowth, signal?: AbortSignal) => call('get', '/api/insight/growth', { query: { ...asked }, signal })

const UNITS: Record<string, Column['unit']> = {
  gmv: 'money', orders: 'count', buyers: 'count', uv: 'count', watch: 'seconds', watch_per_viewer: 'seconds', days_active: 'ratio', return_rate: 'share', gmv_per_order: 'money', orders_per_buyer: 'ratio',
}
/** The first of these stand as cards above the table. */
export const CARDS = ['uv', 'watch_per_viewer', 'days_active', 'return_rate'] as const

export const unitOf = (figure: string, currency: string): Pick<Column, 'unit' | 'currency'> => ({ unit: UNITS[figure] ?? 'ratio', currency })
export const defineOf = (figure: string, kind: string): string => (figure === 'gmv' ? `gmv_${kind}` : figure)

/** An amount an order is a mean; people read whole minor units. */
export const sayFigure = (figure: string, value: number | null, currency: string): string =>
  say(value !== null && UNITS[figure] === 'money' ? Math.round(value) : value, unitOf(figure, currency))

export interface Change { text: string; way: number; why: string }

/** +12.3 %, or in a word why there is no such share. */
export function changeOf(change: number | null, missing: Missing | null | undefined): Change {
  if (change === null) return { text: t(`insight.growth.missing.${missing ?? 'nobody'}`), way: 0, why: t(`insight.growth.missingWhy.${missing ?? 'nobody'}`) }
  const text = new Intl.NumberFormat(currentLocale(), { style: 'percent', signDisplay: 'exceptZero', maximumFractionDigits: Math.abs(change) < 1 ? 1 : 0 }).format(change)
  return { text, way: Math.sign(change), why: '' }
}

/** Three periods' GMV over the days of the first: day by day, the earlier ones dashed. A period that is not recorded has no curve. */
export function daysOver(answer: Growth, found: { now: readonly OfDay[]; month: readonly OfDay[]; year: readonly OfDay[] }): Bands {
  const period = { since: answer.since, until: answer.until }
  const days = listDays(period)
  const recorded = (since: string) => answer.recorded_since != null && answer.recorded_since <= since
  const curve = (name: string, ink: string, rows: readonly OfDay[], since: string, until: string, dashed: boolean) => {
    const sums = new Map<string, number>()
    for (const row of rows) sums.set(row.day, (sums.get(row.day) ?? 0) + row.gmv_amount)
    const values = days.map((_, at) => (addDays(since, at) < until ? (sums.get(addDays(since, at)) ?? 0) : null))
    return { name, ink, values, dashed, kind: 'line' as const }
  }
  const curves = [
    curve(t('insight.growth.now'), '--source-private', found.now, answer.since, answer.until, false),
    ...(recorded(answer.month_since) ? [curve(t('insight.growth.month'), '--chart-viewers', found.month, answer.month_since, answer.month_until, true)] : []),
    ...(recorded(answer.year_since) ? [curve(t('insight.growth.year'), '--text-3', found.year, answer.year_since, answer.year_until, true)] : []),
  ]
  const something = curves.some((one) => one.values.some((value) => value))
  return { axis: { name: t('insight.day'), unit: 'day' }, x: something ? days : [], bands: [{ name: t('insight.gmvShort'), unit: 'money', currency: answer.currency, curves, height: 240 }] }
}

export const sayDays = ({ since, until }: Period, sayDay: (day: string, long?: boolean) => string): string => {
  const last = addDays(until, -1)
  return since === last ? sayDay(since, true) : `${sayDay(since, true)} – ${sayDay(last, true)}`
}
