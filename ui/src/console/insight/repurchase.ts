/** Who buys again: how the server is asked, and how its rows become a triangle, a table and a forecast's bars. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { currentLocale, t } from '@/shared/i18n'
import type { Bands } from './parts/bands'
import type { Heat } from './parts/heat'
import type { Column, Table } from './parts/table'

type Schemas = components['schemas']
export type Repurchase = Schemas['RepurchaseAnswer']
export type Cohorts = Schemas['CohortAnswer']
export type CohortRow = Schemas['CohortRow']
export type Forecast = Schemas['ForecastAnswer']
export type AskedRepurchase = { level: Schemas['Level']; of?: string; months?: number; currency?: string }

export const getRepurchase = (asked: AskedRepurchase, signal?: AbortSignal) => call('get', '/api/insight/repurchase', { query: { ...asked }, signal })
export const getCohorts = (asked: AskedRepurchase, signal?: AbortSignal) => call('get', '/api/insight/cohorts', { query: { ...asked }, signal })
export const getForecast = ({ level, of, currency }: AskedRepurchase, signal?: AbortSignal) => call('get', '/api/insight/repurchase/forecast', { query: { level, of, currency }, signal })

export const MONTHS = [6, 12, 24] as const

/** What a cell of the triangle says. */
export const CELLS = ['share', 'buyers', 'orders', 'net'] as const
export type CellKind = (typeof CELLS)[number]
const OF: Record<CellKind, { unit: Column['unit']; of: (row: CohortRow) => number | null }> = {
  share: { unit: 'share', of: (row) => row.buyers_share },
  buyers: { unit: 'count', of: (row) => row.buyers },
  orders: { unit: 'count', of: (row) => row.orders },
  net: { unit: 'money', of: (row) => row.net_amount },
}

export const sayMonth = (day: string): string => new Intl.DateTimeFormat(currentLocale(), { year: 'numeric', month: 'short', timeZone: 'UTC' }).format(new Date(`${day}T00:00:00Z`))

/** Months from one to another, both first days. */
const monthsBetween = (from: string, to: string): number => (Number(to.slice(0, 4)) - Number(from.slice(0, 4))) * 12 + Number(to.slice(5, 7)) - Number(from.slice(5, 7))

/**
 * Cohorts down, months since across. A month that has been and in which nobody bought is nought; one that has not come is blank.
 * `until` is the first day of the month after this one.
 */
export function triangleOf({ items, currency, until }: Cohorts, kind: CellKind): Heat {
  const cohorts = [...new Set(items.flatMap((row) => (row.first_month ? [row.first_month] : [])))]
  const most = Math.max(-1, ...cohorts.map((month) => monthsBetween(month, until) - 1))
  const { unit, of } = OF[kind]
  const found = new Map(items.map((row) => [`${row.first_month} ${row.months_since}`, of(row)]))
  return {
    x: Array.from({ length: most + 1 }, (_, since) => t('insight.repurchase.since', { n: since })),
    y: cohorts.map(sayMonth),
    cells: cohorts.map((month) => Array.from({ length: most + 1 }, (_, since) => (since < monthsBetween(month, until) ? (found.get(`${month} ${since}`) ?? 0) : null))),
    value: { name: t(`insight.repurchase.cell.${kind}`), unit, currency, define: 'cohorts' },
  }
}

/** What moved for somebody of whom no purchase is known. */
export const strayOf = ({ items }: Cohorts): number => items.find((row) => row.first_month === null)?.net_amount ?? 0

export function monthsTableOf({ items, currency }: Repurchase): Table {
  const word = (name: string) => t(`insight.repurchase.column.${name}`)
  const column = (name: string, unit: Column['unit'], define?: string): Column => ({ name: word(name), unit, currency, define })
  return {
    columns: [
      column('month', 'text'), column('buyers', 'count'), column('new', 'count'), column('orders', 'count'), column('again_share', 'share', 'repurchase_month'),
      column('again_30_share', 'share', 'repurchase_window'), column('again_90_share', 'share', 'repurchase_window'), column('ever_again_share', 'share', 'repurchase_ever'),
      column('paid', 'money', 'gmv_paid'), column('returned', 'money', 'refunded'), column('returned_share', 'share', 'true_return_rate'), column('returned_orders', 'count'), column('cancelled', 'count'),
    ],
    rows: [...items].reverse().map((row) => [
      sayMonth(row.month), row.buyers, row.new, row.orders, row.again_share, row.again_30_share, row.again_90_share, row.ever_again_share,
      row.paid_amount, row.returned_amount, row.returned_share, row.returned_orders, row.cancelled_orders,
    ]),
  }
}

/** Expected purchases by cohort, and under them what they are worth where that can be said. */
export function forecastBandsOf({ items, currency }: Forecast): Bands {
  const curve = (ink: string, name: string, values: (number | null)[]) => ({ name, ink, values, kind: 'bar' as const })
  const purchases = t('insight.repurchase.expected')
  const amount = t('insight.repurchase.expectedAmount')
  const worth = items.some((row) => row.amount !== null)
  return {
    axis: { name: t('insight.repurchase.cohort'), unit: 'text' },
    x: items.map((row) => sayMonth(row.first_month)),
    bands: [
      { name: purchases, unit: 'count', curves: [curve('--source-private', purchases, items.map((row) => Math.round(row.purchases * 10) / 10))] },
      ...(worth ? [{ name: amount, unit: 'money' as const, currency, curves: [curve('--chart-viewers', amount, items.map((row) => row.amount))] }] : []),
    ],
  }
}

const signed = (share: number): string => new Intl.NumberFormat(currentLocale(), { style: 'percent', signDisplay: 'exceptZero', minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share)

/** How wrong the same method was: in words, with the naive rate beside it. */
export function sayPast({ past, days }: Forecast): string {
  if (!past || past.total_error === null) return t('insight.repurchase.noPast', { days })
  const said = { days, customers: past.customers, foretold: Math.round(past.foretold), actual: past.actual, error: signed(past.total_error) }
  return past.naive.total_error === null ? t('insight.repurchase.past', said) : t('insight.repurchase.pastNaive', { ...said, naive: signed(past.naive.total_error) })
}
