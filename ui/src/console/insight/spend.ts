/** What new buyers cost and bring: questions, tables, and what was spent as people enter it. */
import { call, csrfToken, Refused } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { t } from '@/shared/i18n'
import { wordOf } from './parts/sources'
import type { Cell, Column, Table } from './parts/table'
import { urlOf } from './question'

type Schemas = components['schemas']
export type Acquisition = Schemas['AcquisitionAnswer']
export type AcquisitionRow = Schemas['AcquisitionRow']
export type Spend = Schemas['SpendView']
export type SpendReport = Schemas['SpendReport']
export interface Whose { level: Schemas['Level']; of?: string }
export interface AskedDays extends Whose { since?: string; until?: string; currency?: string }

export const getAcquisition = (asked: AskedDays, signal?: AbortSignal) => call('get', '/api/insight/acquisition', { query: { ...asked }, signal })
export const listSpend = ({ currency: _, ...asked }: AskedDays, after: string | null) => call('get', '/api/insight/spend', { query: { ...asked, ...(after ? { after } : {}), limit: 10 } })
export const enterSpend = (whose: Whose, body: Schemas['NewSpend']) => call('post', '/api/insight/spend', { query: { ...whose }, body })
export const deleteSpend = (whose: Whose, id: string) => call('delete', '/api/insight/spend/{spend_id}', { path: { spend_id: id }, query: { ...whose } })

/** Sends the file as it is; a dry run says what would come of it. */
export async function importSpend(whose: Whose, currency: string, file: Blob, dryRun: boolean): Promise<SpendReport> {
  let answer: Response
  try {
    answer = await fetch(urlOf('spend.csv', { ...whose, currency, dry_run: String(dryRun) }), {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'text/csv; charset=utf-8', 'X-CSRF-Token': csrfToken() }, body: file,
    })
  } catch {
    throw new Refused('offline', 0)
  }
  const body = await answer.json().catch(() => null)
  if (answer.ok) return body as SpendReport
  throw new Refused(body?.type?.split('/').pop() ?? 'server-error', answer.status, body ?? {}, body?.title)
}

export function tableOfAcquisition({ items, currency }: Acquisition): Table {
  const money = (key: string, define: string): Column => ({ name: t(`insight.acquisition.${key}`), unit: 'money', currency, define })
  return {
    columns: [
      { name: t('insight.figure.source'), unit: 'text', define: 'source' }, { name: t('insight.people.campaign'), unit: 'text' },
      { name: t('insight.acquisition.newBuyers'), unit: 'count', define: 'new_buyers' }, money('spend', 'spend'), money('subsidy', 'cac'), money('cac', 'cac'),
      money('value30', 'realised_value'), money('value90', 'realised_value'), { name: t('insight.acquisition.ltvCac'), unit: 'ratio', define: 'ltv_cac' },
      money('value365', 'lifetime_value'), { name: t('insight.acquisition.ltvCac365'), unit: 'ratio', define: 'lifetime_value' },
    ],
    rows: items.map((row) => [wordOf(row.source ?? ''), row.campaign || '–', ...figuresOf(row)]),
  }
}

export const figuresOf = (row: AcquisitionRow): Cell[] => [row.new_buyers, row.spend_amount, row.subsidy_amount, row.cac_amount, row.value_30_amount, row.value_90_amount, row.ltv_cac, row.value_365_amount, row.ltv_cac_365]

/** A sheet to begin with. */
export const SAMPLE = (day: string, campaign: string): [string[], string[][]] => [
  ['date', 'source', 'campaign', 'amount', 'note'],
  [[day, 'public_paid', campaign, '1200.00', ''], [day, 'slot', '', '300.00', '']],
]
