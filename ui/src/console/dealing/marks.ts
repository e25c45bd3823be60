/** A trademark while it is being written. */
import { newId } from '@/shared/ids'
import type { Trademark, TrademarkDraft } from './api'
import { endOfDay } from './terms'

export interface MarkDraft { id: string; office: string; number: string; class: number; name: string; until: Date; documentId: string | null }

export function newMark(like?: Trademark): MarkDraft {
  const today = new Date()
  const until = new Date(today.getFullYear() + 10, today.getMonth(), today.getDate())
  return { id: newId(), office: like?.office ?? 'CNIPA', number: like?.number ?? '', class: like?.class_no ?? 29, name: like?.name ?? '', until, documentId: null }
}

export function markOf(draft: MarkDraft): TrademarkDraft {
  return {
    id: draft.id, office: draft.office.trim(), number: draft.number.trim(), class_no: draft.class, name: draft.name.trim(),
    ends_at: endOfDay(draft.until).toISOString(), document_id: draft.documentId,
  }
}

export function missingOf(draft: MarkDraft): string | null {
  if (!draft.office.trim() || !draft.number.trim() || !draft.name.trim()) return 'mark'
  return endOfDay(draft.until) <= new Date() ? 'until' : null
}
