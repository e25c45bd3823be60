/** What a shop may sell of a brand, while it is being written; and how far a time has come. */
import type { Authorisation, Terms } from './api'

export interface TermsDraft { some: boolean; categories: string[]; online: boolean; stores: string[]; from: Date; until: Date; documentId: string | null; note: string }

const DAY_MS = 86_400_000

export function newTerms(after?: Authorisation): TermsDraft {
  const from = after ? new Date(after.ends_at) : new Date()
  return {
    some: !!after?.categories.length, categories: after ? [...after.categories] : [], online: after?.is_online ?? true, stores: after ? [...after.stores] : [],
    from: from.getTime() < Date.now() ? new Date() : from, until: endOfDay(new Date(Math.max(from.getTime(), Date.now()) + 365 * DAY_MS)), documentId: null, note: '',
  }
}

export function termsOf(draft: TermsDraft): Terms {
  return {
    categories: draft.some ? draft.categories : [], is_online: draft.online, stores: draft.stores, starts_at: draft.from.toISOString(),
    ends_at: endOfDay(draft.until).toISOString(), document_id: draft.documentId, note: draft.note.trim(),
  }
}

/** What is missing before it can be sent; the key is a word in the catalogue. */
export function missing(draft: TermsDraft): string | null {
  if (draft.some && !draft.categories.length) return 'categories'
  if (!draft.online && !draft.stores.length) return 'stores'
  return endOfDay(draft.until) <= draft.from ? 'until' : null
}

export function endOfDay(day: Date): Date {
  return new Date(day.getFullYear(), day.getMonth(), day.getDate(), 23, 59, 59)
}

/** One word and colour for where an authorisation stands now. */
export function standing(one: Authorisation): { word: string; tone: 'good' | 'warn' | 'bad' | 'plain' } {
  if (one.state === 'asked') return { word: 'asked', tone: 'warn' }
  if (one.state === 'refused' || one.state === 'revoked') return { word: one.state, tone: 'bad' }
  if (new Date(one.ends_at).getTime() <= Date.now()) return { word: 'over', tone: 'plain' }
  if (new Date(one.starts_at).getTime() > Date.now()) return { word: 'coming', tone: 'plain' }
  if (!one.is_live) return { word: 'void', tone: 'bad' }
  return daysLeft(one.ends_at) <= 30 ? { word: 'ending', tone: 'warn' } : { word: 'live', tone: 'good' }
}

export function daysLeft(ends: string): number {
  return Math.ceil((new Date(ends).getTime() - Date.now()) / DAY_MS)
}
