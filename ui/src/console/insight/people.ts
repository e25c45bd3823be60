/** Passers-by, fans, buyers: the deposition funnel, who of the fans stays, orders that nobody had set out for. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { t } from '@/shared/i18n'
import { wordOf } from './parts/sources'
import type { Cell, Column, Table } from './parts/table'

type Schemas = components['schemas']
export type Funnel = Schemas['FunnelAnswer']
export type FunnelRow = Schemas['FunnelRow']
export type Retention = Schemas['RetentionAnswer']
export type Purpose = Schemas['PurposeAnswer']
export type FunnelBy = Schemas['FunnelBy']
export interface AskedDays { level: Schemas['Level']; of?: string; since?: string; until?: string }

export const BY: readonly FunnelBy[] = ['source', 'campaign', 'show']
export const RETENTION_DAYS = [1, 7, 30] as const
export const HOURS = [1, 6, 24, 72, 168] as const

export const getFunnel = (asked: AskedDays, by: FunnelBy, signal?: AbortSignal) => call('get', '/api/insight/funnel', { query: { ...asked, by }, signal })
export const getRetention = (asked: AskedDays, signal?: AbortSignal) => call('get', '/api/insight/retention', { query: { ...asked }, signal })
export const getPurpose = (asked: AskedDays, within_h: number, signal?: AbortSignal) => call('get', '/api/insight/purpose', { query: { ...asked, within_h }, signal })

export interface Stage {
  key: 'viewers' | 'followers' | 'fan_groups' | 'buyers' | 'repeat_buyers'
  define: string
  /** Null: the house does not have this step yet. */
  count: number | null
  /** Of the public viewers. */
  share: number | null
  /** Of these, who had followed before. */
  fans: number | null
}

const of = (part: number | null, whole: number): number | null => (part === null || whole === 0 ? null : part / whole)

export function stagesOf(row: FunnelRow): Stage[] {
  const { viewers } = row
  const stage = (key: Stage['key'], define: string, count: number | null, fans: number | null = null): Stage => ({ key, define, count, share: of(count, viewers), fans })
  return [
    stage('viewers', 'public_viewers', viewers),
    stage('followers', 'new_followers', row.followers),
    stage('fan_groups', 'deposition', row.fan_groups ?? null),
    stage('buyers', 'funnel_buyers', row.buyers, row.follower_buyers),
    stage('repeat_buyers', 'repeat_buyers', row.repeat_buyers, row.follower_repeat_buyers),
  ]
}

export function nameOf(row: FunnelRow, by: FunnelBy): string {
  if (by === 'show') return row.show_id === null ? t('insight.noShow') : (row.title ?? t('insight.people.unknownShow'))
  return wordOf(row.source ?? '')
}

export function tableOfFunnel({ items, by }: Funnel): Table {
  const columns: Column[] = [
    { name: t(`insight.people.by.${by}`), unit: 'text', ...(by === 'show' ? {} : { define: 'source' }) },
    ...(by === 'campaign' ? [{ name: t('insight.people.campaign'), unit: 'text' as const }] : []),
    { name: t('insight.people.stage.viewers'), unit: 'count', define: 'public_viewers' },
    { name: t('insight.people.stage.followers'), unit: 'count', define: 'new_followers' }, { name: t('insight.people.rate'), unit: 'share' },
    { name: t('insight.people.stage.buyers'), unit: 'count', define: 'funnel_buyers' }, { name: t('insight.people.rate'), unit: 'share' },
    { name: t('insight.people.stage.repeat_buyers'), unit: 'count', define: 'repeat_buyers' }, { name: t('insight.people.rate'), unit: 'share' },
  ]
  const rows = items.map((row): Cell[] => [
    nameOf(row, by), ...(by === 'campaign' ? [row.campaign || t('insight.people.noCampaign')] : []), row.viewers, row.followers, of(row.followers, row.viewers), row.buyers,
    of(row.buyers, row.viewers), row.repeat_buyers, of(row.repeat_buyers, row.viewers),
  ])
  return { columns, rows }
}

export interface Kept { days: number; due: number; kept: number | null; back: number | null }

/** All fans: a bar for 1, 7 and 30 days. */
export const keptOf = ({ items }: Retention, source: string | null = null): Kept[] =>
  items.filter((row) => row.source === source).map(({ days, due, kept_share, back_share }) => ({ days, due, kept: kept_share, back: back_share }))

export function tableOfRetention({ items }: Retention): Table {
  const sources = [...new Set(items.filter((row) => row.source !== null).map((row) => row.source!))]
  const cell = (source: string, days: number, what: 'kept_share' | 'back_share') => items.find((row) => row.source === source && row.days === days)?.[what] ?? null
  return {
    columns: [
      { name: t('insight.figure.source'), unit: 'text', define: 'source' }, { name: t('insight.people.fans'), unit: 'count' },
      ...RETENTION_DAYS.map((days): Column => ({ name: t('insight.people.keptDays', { n: days }), unit: 'share', define: 'fan_retention' })),
      ...RETENTION_DAYS.map((days): Column => ({ name: t('insight.people.backDays', { n: days }), unit: 'share', define: 'fan_return' })),
    ],
    rows: sources.map((source) => [
      wordOf(source), items.find((row) => row.source === source)!.fans, ...RETENTION_DAYS.map((days) => cell(source, days, 'kept_share')), ...RETENTION_DAYS.map((days) => cell(source, days, 'back_share')),
    ]),
  }
}

export function tableOfPurpose({ items }: Purpose): Table {
  return {
    columns: [
      { name: t('insight.figure.source'), unit: 'text', define: 'source' }, { name: t('insight.people.placed'), unit: 'count', define: 'orders_placed' },
      { name: t('insight.people.purposeless'), unit: 'share', define: 'purposeless' }, { name: t('insight.people.unprompted'), unit: 'share', define: 'unprompted' },
    ],
    rows: items.map((row) => [wordOf(row.source ?? ''), row.orders, row.purposeless_share, row.unprompted_share]),
  }
}
