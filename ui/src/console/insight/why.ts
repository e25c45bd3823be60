/** Why GMV changed: the server's shares as steps of a waterfall, as a table of sources and factors, and as one sentence. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { currentLocale, t } from '@/shared/i18n'
import type { Kind } from './overview'
import { inOrder, wordOf } from './parts/sources'
import { say, sayChange, type Cell, type Column, type Table } from './parts/table'
import type { Step } from './parts/waterfall'

export type Why = components['schemas']['WhyAnswer']
export type Share = components['schemas']['WhyShare']
export type FactorKey = components['schemas']['Factor']

export interface AskedWhy {
  level: components['schemas']['Level']
  of?: string
  before_of?: string
  kind: Kind
  currency?: string
  since?: string
  until?: string
  before_since?: string
  before_until?: string
}

export const getWhy = (asked: AskedWhy, signal?: AbortSignal) => call('get', '/api/insight/why', { query: { ...asked }, signal })

export const FACTORS: readonly FactorKey[] = ['uv', 'watch_per_viewer', 'buyers_per_watch', 'orders_per_buyer', 'conversion', 'gmv_per_order']
const UNITS: Record<FactorKey, Column['unit']> = { uv: 'count', watch_per_viewer: 'seconds', buyers_per_watch: 'ratio', orders_per_buyer: 'ratio', conversion: 'share', gmv_per_order: 'money' }

export const factorWord = (factor: FactorKey): string => t(`insight.figure.${factor}`)
export const BY = ['factor', 'source'] as const
export type By = (typeof BY)[number]

/** From what was to what is, a step a factor (all sources together) or a source (all factors together). */
export function stepsOf(why: Why, by: By): Step[] {
  const changes =
    by === 'factor'
      ? why.factors.map(({ factor, amount }) => ({ name: factorWord(factor), amount }))
      : inOrder(why.sources, (one) => one.source).map(({ source, before_amount, after_amount }) => ({ name: wordOf(source), amount: after_amount - before_amount }))
  return [{ name: t('insight.why.before'), amount: why.before_amount, total: true }, ...changes, { name: t('insight.why.after'), amount: why.after_amount, total: true }]
}

/** A line a source, a column a factor; the last column is the source's difference, the last line each factor's sum. */
export function matrixOf(why: Why): { table: Table; foot: Cell[] } {
  const factors = FACTORS.filter((factor) => why.factors.some((one) => one.factor === factor))
  const money = (name: string, define?: string): Column => ({ name, unit: 'money', currency: why.currency, ...(define ? { define } : {}) })
  const amount = (source: string, factor: FactorKey): Cell => why.items.find((one) => one.source === source && one.factor === factor)?.amount ?? null
  return {
    table: {
      columns: [{ name: t('insight.figure.source'), unit: 'text', define: 'source' }, ...factors.map((factor) => money(factorWord(factor), factor)), money(t('insight.why.difference'))],
      rows: inOrder(why.sources, (one) => one.source).map(({ source, before_amount, after_amount }) => [source, ...factors.map((factor) => amount(source, factor)), after_amount - before_amount]),
    },
    foot: [t('insight.total'), ...factors.map((factor) => why.factors.find((one) => one.factor === factor)?.amount ?? null), why.difference_amount],
  }
}

/** 1 → 2; nothing where the factor had no value in one of the periods. */
export function fromTo(share: Share): string {
  const column = { unit: UNITS[share.factor], currency: share.currency }
  if (share.before === null || share.after === null) return ''
  const [before, after] = [say(share.before, column), say(share.after, column)]
  return before === after ? '' : t('insight.why.fromTo', { before, after })
}

/** The sign and its amount are never parted by the end of a line. */
const signed = (amount: number, currency: string) => (amount > 0 ? '+\u2060' : '') + say(amount, { unit: 'money', currency })

function clause(share: Share, currency: string): string {
  const values = fromTo(share)
  return t(values ? 'insight.why.clauseValues' : 'insight.why.clause', { factor: factorWord(share.factor), source: wordOf(share.source), amount: signed(share.amount, currency), values })
}

/** One sentence: what GMV did, what drove it most, and what held against it. */
export function sentenceOf(why: Why): string {
  const { before_amount, after_amount, difference_amount, currency, pushed, pulled } = why
  const amount = (minor: number) => say(minor, { unit: 'money', currency })
  const gmv = t(`insight.gmv.${why.kind}`)
  if (before_amount === 0 && after_amount === 0 && pushed.length === 0) return t('insight.why.nothing', { gmv })
  const facts = { gmv, before: amount(before_amount), after: amount(after_amount), difference: signed(difference_amount, currency), change: sayChange(after_amount, before_amount) ?? '' }
  const way = difference_amount > 0 ? 'rose' : difference_amount < 0 ? 'fell' : 'same'
  const head = t(`insight.why.${way}${way !== 'same' && facts.change && before_amount > 0 ? 'By' : ''}`, facts)
  const list = new Intl.ListFormat(currentLocale(), { type: 'conjunction' })
  const because = pushed.length ? t(difference_amount === 0 ? 'insight.why.moved' : 'insight.why.mostly', { drivers: list.format(pushed.map((share) => clause(share, currency))) }) : ''
  const against = pulled && difference_amount !== 0 ? t('insight.why.pulled', { driver: clause(pulled, currency) }) : ''
  return [head, because, against].filter(Boolean).join(t('insight.why.space'))
}
