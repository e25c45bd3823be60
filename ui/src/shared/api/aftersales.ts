/** After-sales: the questions that phone and console ask. */
import { newId } from '../ids'
import { call } from './ask'
import { sendBytes } from './bytes'
import type { components } from './schema'

type Schemas = components['schemas']
export type Case = Schemas['CaseView']
export type CaseBrief = Schemas['CaseBriefView']
export type CaseEntry = Schemas['CaseEntryView']
export type CaseExhibit = Schemas['ExhibitView']
export type CaseState = Schemas['CaseBriefView']['state']
export type CaseKind = Schemas['CaseBriefView']['kind']
export type CaseReason = Schemas['CaseBriefView']['reason']
export type CaseAct = Schemas['NewCaseEntry']['act']
export type Claimable = Schemas['ClaimableView']
export type Rights = Schemas['RightsView']
export type NewCase = Schemas['NewCase']
type Step = Schemas['NewCaseEntry']
/** Everything but the act and its id may be left out. */
export type NewStep = Pick<Step, 'id' | 'act'> & Partial<Step>
export type Queue = 'waiting' | 'open' | 'closed'

export const getClaimable = (order_id: string) => call('get', '/api/orders/{order_id}/claimable', { path: { order_id } })
export const listOrderCases = (order_id: string) => call('get', '/api/orders/{order_id}/cases', { path: { order_id } })
export const openCase = (order_id: string, body: NewCase) => call('post', '/api/orders/{order_id}/cases', { path: { order_id }, body })
export const listCases = (after?: string) => call('get', '/api/cases', { query: { after } })
export const getCase = (case_id: string) => call('get', '/api/cases/{case_id}', { path: { case_id } })
export const addStep = (case_id: string, body: NewStep) => call('post', '/api/cases/{case_id}/entries', { path: { case_id }, body: body as Step })
export const listShopCases = (shop_id: string, queue: Queue, after: string | null) =>
  call('get', '/api/shops/{shop_id}/cases', { path: { shop_id }, query: { queue, after: after ?? undefined, limit: 50 } })
export const acceptCases = (shop_id: string, case_ids: string[]) =>
  call('post', '/api/shops/{shop_id}/case-acceptances', { path: { shop_id }, body: { items: case_ids.map((case_id) => ({ case_id, entry_id: newId() })) } })
export const listArbitration = (after: string | null) => call('get', '/api/arbitration', { query: { after: after ?? undefined, limit: 50 } })

const FILM_PIECE = 4 * 1024 * 1024

/** A picture or a short film for a case; its id is what an entry names. */
export async function sendEvidence(file: File): Promise<string> {
  if (!file.type.startsWith('video/')) return (await sendBytes<{ id: string }>('PUT', `/api/pictures/${newId()}?purpose=evidence`, file)).id
  const id = newId()
  await call('post', '/api/evidence-films', { body: { id, size_bytes: file.size } })
  for (let at = 0; at < file.size; at += FILM_PIECE) await sendBytes('PATCH', `/api/uploads/${id}?offset=${at}`, file.slice(at, at + FILM_PIECE))
  return id
}
