/** Where money goes and how it gets there: bank accounts, payouts, the operators' desk, corrections. */
import { ask, Refused } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { useSession } from '@/shared/session'
import type { Tone } from '../parts/tones'

type Schemas = components['schemas']
export type Account = Schemas['BankAccountView']
export type Accounts = Schemas['BankAccountViews']
export type AccountChange = Schemas['BankAccountChange']
export type OwnPayout = Schemas['OwnPayoutView']
export type OwnCorrection = Schemas['OwnCorrectionView']
export type Payees = Schemas['Payees']
export type Payee = Schemas['PayeeView']
export type Batch = Schemas['PayoutBatchView']
export type DeskPayout = Schemas['DeskPayoutView']
export type Brought = Schemas['BroughtResults']
export type Correction = Schemas['CorrectionView']
export type CorrectionProposal = Schemas['CorrectionProposal']

/** Whose money: a shop's, or (null) one's own. */
export type Owner = string | null
type After = { after?: string | null }

const root = (owner: Owner) => (owner ? `/api/shops/${owner}` : '/api/me')

export const listAccounts = (owner: Owner) => ask<Accounts>('get', `${root(owner)}/bank-accounts`)
export const changeAccount = (owner: Owner, body: AccountChange) => ask<Account>('post', `${root(owner)}/bank-accounts`, { body })
export const stopAccount = (id: string) => ask<Account>('post', '/api/bank-accounts/{id}/cancellation', { path: { id } })
export const listOwnPayouts = (owner: Owner, query: After) => ask<Page<OwnPayout>>('get', `${root(owner)}/settlement-payouts`, { query })
export const listOwnCorrections = (owner: Owner) => ask<Schemas['OwnCorrectionViews']>('get', `${root(owner)}/corrections`)

export const listPayees = (query: After & { currency: string }) => ask<Payees>('get', '/api/payees', { query })
export const holdPayee = (id: string, reason: string) => ask<void>('put', '/api/payees/{id}/hold', { path: { id }, body: { reason } })
export const liftHold = (id: string) => ask<void>('delete', '/api/payees/{id}/hold', { path: { id } })
export const listBatches = (query: After) => ask<Page<Batch>>('get', '/api/payout-batches', { query })
export const draftBatch = (body: Schemas['NewPayoutBatch']) => ask<Batch>('post', '/api/payout-batches', { body })
export const getBatch = (id: string) => ask<Batch>('get', '/api/payout-batches/{id}', { path: { id } })
export const listBatchPayouts = (id: string, query: After) => ask<Page<DeskPayout>>('get', '/api/payout-batches/{id}/payouts', { path: { id }, query })
export const moveBatch = (id: string, step: 'approval' | 'dispatch' | 'cancellation') => ask<Batch>('post', `/api/payout-batches/{id}/${step}`, { path: { id } })
export const fileUrl = (id: string, form: 'csv' | 'csv-gbk' | 'pain.001') => `/api/payout-batches/${id}/file?form=${form}`
export const withhold = (id: string, reason: string) => ask<DeskPayout>('post', '/api/settlement-payouts/{id}/withholding', { path: { id }, body: { reason } })
export const noteResult = (id: string, body: { outcome: 'paid' | 'returned'; reason?: string }) => ask<DeskPayout>('post', '/api/settlement-payouts/{id}/result', { path: { id }, body })

export const listCorrections = (query: After) => ask<Page<Correction>>('get', '/api/corrections', { query })
export const proposeCorrection = (body: CorrectionProposal) => ask<Correction>('post', '/api/corrections', { body })
export const approveCorrection = (id: string) => ask<Correction>('post', '/api/corrections/{id}/approval', { path: { id } })
export const refuseCorrection = (id: string, note: string) => ask<Correction>('post', '/api/corrections/{id}/refusal', { path: { id }, body: { note } })
export const withdrawCorrection = (id: string) => ask<Correction>('post', '/api/corrections/{id}/withdrawal', { path: { id } })

/** The file goes as it is: banks write in more than one encoding. */
export async function bringResults(batch: string, file: File): Promise<Brought> {
  let answer: Response
  try {
    answer = await fetch(`/api/payout-batches/${batch}/payout-results.csv?${new URLSearchParams({ name: file.name })}`, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'text/csv', 'X-CSRF-Token': useSession().me?.csrf_token ?? '' },
      body: file,
    })
  } catch {
    throw new Refused('offline', 0)
  }
  const body = await answer.json().catch(() => null)
  if (answer.ok) return body as Brought
  throw new Refused(body?.type?.split('/').pop() ?? 'server-error', answer.status, body ?? {})
}

export const ACCOUNT_TONES: Record<Account['standing'], Tone> = { current: 'good', cooling: 'warn', stopped: 'bad', replaced: 'plain' }
export const PAYOUT_TONES: Record<OwnPayout['state'], Tone> = { drafted: 'plain', withheld: 'warn', sent: 'warn', paid: 'good', returned: 'bad' }
export const BATCH_TONES: Record<Batch['state'], Tone> = {
  drafting: 'plain', drafted: 'warn', approved: 'warn', sending: 'plain', sent: 'hot', closed: 'good', discarding: 'plain', discarded: 'plain',
}
export const WAITING_TONES: Record<Payee['waiting'], Tone> = {
  ready: 'good', under_way: 'plain', below_minimum: 'plain', negative: 'bad', no_account: 'warn', cooling: 'warn', held: 'bad',
}
export const CORRECTION_TONES: Record<Correction['state'], Tone> = { proposed: 'warn', approved: 'good', refused: 'bad', withdrawn: 'plain' }
