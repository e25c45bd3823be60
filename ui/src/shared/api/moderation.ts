/** Order in a room: the questions that desk and phone both ask. */
import { call } from './ask'
import type { components } from './schema'

type Schemas = components['schemas']
export type SanctionAsk = Pick<Schemas['SanctionDraft'], 'id' | 'kind' | 'viewer_id'> & Partial<Schemas['SanctionDraft']>
export type Sanction = Schemas['SanctionView']
export type Rules = Schemas['RoomRules']
export type ChatRules = Omit<Schemas['ChatRules'], 'lists'> & { lists: WordList[] }
export type WordList = Schemas['WordList']
export type Moderator = Schemas['Moderator']
export type LogEntry = Schemas['EntryView']

export const deleteSaying = (show_id: string, saying_id: string, reason = '') =>
  call('post', '/api/shows/{show_id}/sayings/{saying_id}/deletion', { path: { show_id, saying_id }, body: { reason } })
export const imposeSanction = (show_id: string, draft: SanctionAsk) =>
  call('post', '/api/shows/{show_id}/sanctions', { path: { show_id }, body: draft as Schemas['SanctionDraft'] })
export const listSanctions = (show_id: string) => call('get', '/api/shows/{show_id}/sanctions', { path: { show_id } })
export const liftSanction = (sanction_id: string) => call('delete', '/api/sanctions/{sanction_id}', { path: { sanction_id } })
export const listHeld = (show_id: string) => call('get', '/api/shows/{show_id}/held', { path: { show_id } })
export const reviewSaying = (show_id: string, saying_id: string, approved: boolean) =>
  call('post', '/api/shows/{show_id}/held/{saying_id}/review', { path: { show_id, saying_id }, body: { approved, reason: '' } })
export const getRules = (room_id: string) => call('get', '/api/rooms/{room_id}/rules', { path: { room_id } })
export const putRules = (room_id: string, rules: ChatRules, expected_version: number) =>
  call('put', '/api/rooms/{room_id}/rules', { path: { room_id }, body: { rules: rules as Schemas['ChatRules'], expected_version } })
export const listModerators = (room_id: string) => call('get', '/api/rooms/{room_id}/moderators', { path: { room_id } })
export const addModerator = (room_id: string, handle: string, rights: Schemas['Right'][]) =>
  call('post', '/api/rooms/{room_id}/moderators', { path: { room_id }, body: { handle, rights } })
export const removeModerator = (room_id: string, account_id: string) =>
  call('delete', '/api/rooms/{room_id}/moderators/{account_id}', { path: { room_id, account_id } })
export const listLog = (room_id: string, after?: string) =>
  call('get', '/api/rooms/{room_id}/moderation-log', { path: { room_id }, query: { after } })
