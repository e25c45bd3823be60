/** A figure's table: what a chart shows, as rows. Amounts are whole minor units, watch time is seconds, shares are of one. */
import { formatCount, minorUnits } from '@/shared/format'
import { currentLocale, t } from '@/shared/i18n'
import { sayMinute } from './zone'

export type Unit = 'text' | 'day' | 'minute' | 'money' | 'count' | 'seconds' | 'share' | 'ratio'
export type Cell = string | number | null

export interface Column {
  name: string
  unit: Unit
  currency?: string
  /** The key of its definition. */
  define?: string
}

export interface Table {
  columns: Column[]
  rows: Cell[][]
}

export const NOTHING = '–'

/** A value in full, as tables and cards show it. */
export function say(value: Cell | undefined, { unit, currency }: Pick<Column, 'unit' | 'currency'>): string {
  if (value === null || value === undefined) return NOTHING
  if (typeof value === 'string') return unit === 'day' ? sayDay(value) : unit === 'minute' ? sayMinute(value) : value
  switch (unit) {
    case 'money':
      return money(value, currency ?? 'CNY', {})
    case 'count':
      return new Intl.NumberFormat(currentLocale(), { maximumFractionDigits: 0 }).format(value)
    case 'seconds':
      return saySeconds(value)
    case 'share':
      return new Intl.NumberFormat(currentLocale(), { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(value)
    default:
      return new Intl.NumberFormat(currentLocale(), { maximumSignificantDigits: 4 }).format(value)
  }
}

/** A value as short as an axis needs it: ¥1.2万 / ¥12K, 1.2万 / 12k, 3 h. */
export function sayShort(value: number, { unit, currency }: Pick<Column, 'unit' | 'currency'>): string {
  switch (unit) {
    case 'money': {
      const big = Math.abs(value) / minorUnits(currency ?? 'CNY') >= 10_000
      return money(value, currency ?? 'CNY', big ? { notation: 'compact', minimumFractionDigits: 0, maximumFractionDigits: 1 } : { minimumFractionDigits: 0, maximumFractionDigits: 0 })
    }
    case 'count':
      return value < 0 ? `-${formatCount(Math.round(-value))}` : formatCount(Math.round(value))
    case 'seconds':
      return saySeconds(value, true)
    case 'share':
      return new Intl.NumberFormat(currentLocale(), { style: 'percent', maximumFractionDigits: 1 }).format(value)
    default:
      return say(value, { unit, currency })
  }
}

/** 2026-11-02 → Nov 2 / 11月2日; with its year where it stands alone. */
export function sayDay(day: string, long = false): string {
  return new Intl.DateTimeFormat(currentLocale(), { ...(long ? { year: 'numeric' } : {}), month: 'short', day: 'numeric', timeZone: 'UTC' }).format(new Date(`${day}T00:00:00Z`))
}

/** 4.2 s · 4 min 9 s · 1 h 24 min · 1,234 h. */
export function saySeconds(seconds: number, short = false): string {
  const whole = Math.round(Math.abs(seconds))
  const sign = seconds < 0 ? '-' : ''
  const n = (value: number, digits = 0) => sign + new Intl.NumberFormat(currentLocale(), { maximumFractionDigits: digits }).format(value)
  if (whole < 60) return t('insight.unit.s', { n: n(Math.abs(seconds), whole < 10 ? 1 : 0) })
  if (whole < 3600) return short || whole % 60 === 0 ? t('insight.unit.min', { n: n(Math.round(whole / 60)) }) : t('insight.unit.minS', { n: n(Math.floor(whole / 60)), s: whole % 60 })
  if (short || whole >= 360_000) return t('insight.unit.h', { n: n(whole / 3600, whole < 36_000 ? 1 : 0) })
  return t('insight.unit.hMin', { n: n(Math.floor(whole / 3600)), min: Math.floor((whole % 3600) / 60) })
}

/** +12.3 % / −4 %: how a figure moved; null where there was nothing before. */
export function sayChange(now: number | null, before: number | null): string | null {
  if (now === null || before === null || before === 0) return null
  const change = (now - before) / Math.abs(before)
  return new Intl.NumberFormat(currentLocale(), { style: 'percent', signDisplay: 'exceptZero', maximumFractionDigits: Math.abs(change) < 1 ? 1 : 0 }).format(change)
}

function money(minor: number, currency: string, options: Intl.NumberFormatOptions): string {
  const unit = minorUnits(currency)
  const whole = minor % unit === 0
  return new Intl.NumberFormat(currentLocale(), { style: 'currency', currency, currencyDisplay: 'narrowSymbol', ...(whole ? { minimumFractionDigits: 0 } : {}), ...options }).format(minor / unit)
}

export const isNumber = (unit: Unit) => unit !== 'text' && unit !== 'day' && unit !== 'minute'

/** The rows' numbers in the order of a column; what is not there comes last either way. */
export function sorted({ rows }: Table, by: { column: number; up: boolean } | null): number[] {
  const lines = rows.map((_, line) => line)
  if (!by) return lines
  const way = by.up ? 1 : -1
  const words = new Intl.Collator(currentLocale(), { numeric: true })
  return lines.sort((a, b) => {
    const [one, other] = [rows[a]![by.column] ?? null, rows[b]![by.column] ?? null]
    if (one === null || other === null) return Number(one === null) - Number(other === null)
    return way * (typeof one === 'number' && typeof other === 'number' ? one - other : words.compare(String(one), String(other)))
  })
}
