/** A draft of an activity: what stands in the form, and what is asked of the server. */
import type { Activity, ActivityDraft } from '@/shared/api/types'
import { newId } from '@/shared/ids'

export interface Template {
  key: string; kind: Activity['kind']; duration_s: number
  audience?: { who?: 'everyone' | 'followers'; follow_minutes?: number } | null
  packet_split?: 'lucky' | 'equal' | null; packet_count?: number | null; packet_amount?: number | null
  prizes?: { title: string; count: number; amount?: number }[]
  option_count?: number; helpers?: number; pieces?: number
}

export interface FunForm {
  id: string; kind: Activity['kind']; title: string; duration_s: number; funded_by: 'me' | 'shop'
  who: 'everyone' | 'followers'; follow_minutes: number
  amount: number | null; count: number; split: 'lucky' | 'equal'
  prizes: { title: string; count: number; amount: number | null }[]
  question: string; options: string[]; answer: number
  item_id: string; sku_id: string; floor: number | null; helpers: number; pieces: number
  rival_show_id: string
}

export function newForm(template: Template, title: string): FunForm {
  return {
    id: newId(), kind: template.kind, title, duration_s: template.duration_s, funded_by: 'me',
    who: template.audience?.who ?? 'everyone', follow_minutes: template.audience?.follow_minutes ?? 0,
    amount: template.packet_amount ?? null, count: template.packet_count ?? 1, split: template.packet_split ?? 'lucky',
    prizes: (template.prizes ?? []).map((prize) => ({ title: prize.title, count: prize.count, amount: prize.amount || null })),
    question: '', options: Array.from({ length: template.option_count ?? 0 }, () => ''), answer: 1,
    item_id: '', sku_id: '', floor: null, helpers: template.helpers ?? 1, pieces: template.pieces ?? 1, rival_show_id: '',
  }
}

/** Only what the kind needs goes out: the server refuses the rest. */
export function draftOf(form: FunForm, currency: string): ActivityDraft {
  const money = (amount: number) => ({ amount, currency })
  const won = form.kind === 'lottery' || form.kind === 'quiz'
  const asked = form.kind === 'quiz' || form.kind === 'poll'
  return {
    id: form.id, kind: form.kind, title: form.title.trim(), duration_s: form.duration_s, funded_by: form.funded_by,
    audience: { who: form.who, follow_minutes: form.who === 'followers' ? form.follow_minutes : 0 },
    ...(form.kind === 'red_packet' && { packet: { amount: money(form.amount ?? 0), count: form.count, split: form.split } }),
    prizes: !won ? [] : form.prizes.map((prize) => ({ title: prize.title.trim(), count: prize.count, amount: prize.amount ? money(prize.amount) : null })),
    question: asked ? form.question.trim() : null,
    options: asked ? form.options.map((option) => option.trim()) : [],
    ...(form.kind === 'quiz' && { answer: form.answer }),
    ...(form.kind === 'bargain' && { bargain: { item_id: form.item_id, sku_id: form.sku_id, floor: money(form.floor ?? 0), helpers: form.helpers, pieces: form.pieces } }),
    ...(form.kind === 'pk' && { rival_show_id: form.rival_show_id }),
  }
}
