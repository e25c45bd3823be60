/** What the reconciliation page asks: statements, their differences, chargebacks, refunds that did not arrive. */
import { ask, Refused } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { useSession } from '@/shared/session'

export type Statement = components['schemas']['StatementView']
export type Difference = components['schemas']['DifferenceView']
export type Dispute = components['schemas']['DisputeView']
export type OpenRefund = components['schemas']['OpenRefundView']
export type Discrepancy = components['schemas']['DiscrepancyView']
export type Resolution = components['schemas']['ResolutionView']
export type NewResolution = components['schemas']['NewResolution']

/** What is to be settled: a message's discrepancy, or a statement's difference, and what both sides say. */
export interface Matter {
  of: { discrepancy_id: string } | { statement_id: string; no: number }
  expected: string
  found: string
}

type After = { after?: string | null }
export const listStatements = (query: After) => ask<Page<Statement>>('get', '/api/payment-statements', { query })
export const matchAgain = (id: string) => ask<Statement>('post', '/api/payment-statements/{id}/matching', { path: { id } })
export const listDifferences = (id: string, query: After) => ask<Page<Difference>>('get', '/api/payment-statements/{id}/differences', { path: { id }, query })
export const listDisputes = (query: After) => ask<Page<Dispute>>('get', '/api/payment-disputes', { query })
export const answerDispute = (id: string, text: string) => ask<Dispute>('post', '/api/payment-disputes/{id}/evidence', { path: { id }, body: { text } })
export const listOpenRefunds = (query: After) => ask<Page<OpenRefund>>('get', '/api/payment-refunds', { query })
export const listDiscrepancies = (query: After) => ask<Page<Discrepancy>>('get', '/api/payment-discrepancies', { query })
export const listResolutions = (query: After) => ask<Page<Resolution>>('get', '/api/payment-resolutions', { query })
export const propose = (body: NewResolution) => ask<Resolution>('post', '/api/payment-resolutions', { body })
export const decide = (resolution_id: string, settle: boolean) => ask<Resolution>('post', '/api/payment-resolutions/{resolution_id}/decision', { path: { resolution_id }, body: { settle } })
export const retryRefund = (id: string) => ask<void>('post', '/api/payment-refunds/{id}/attempts', { path: { id } })

/** The file goes as it is: statements come in more than one encoding. */
export async function bringStatement(provider: string, file: File, day: string | null): Promise<Statement> {
  const query = new URLSearchParams({ provider, name: file.name, ...(day ? { date: day } : {}) })
  let answer: Response
  try {
    answer = await fetch(`/api/payment-statements.csv?${query}`, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'text/csv', 'X-CSRF-Token': useSession().me?.csrf_token ?? '' },
      body: file,
    })
  } catch {
    throw new Refused('offline', 0)
  }
  const body = await answer.json().catch(() => null)
  if (answer.ok) return body as Statement
  throw new Refused(body?.type?.split('/').pop() ?? 'server-error', answer.status, body ?? {})
}
