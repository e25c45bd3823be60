/** Cases in words: what they are, what happened, whose turn it is, what time brings. */
import type { Case, CaseBrief, CaseEntry, CaseState } from '../api/aftersales'
import type { Money } from '../api/types'
import { formatMoney, formatTime } from '../format'
import { hasWords, t } from '../i18n'

export type CaseTone = 'plain' | 'good' | 'warn' | 'bad'

export const CASE_TONES: Record<CaseState, CaseTone> = {
  requested: 'warn', refused: 'bad', countered: 'warn', returning: 'warn', sent_back: 'warn', disputed: 'bad', preparing: 'warn', replacing: 'warn',
  arbitration: 'bad', overdue: 'bad', refunded: 'good', replaced: 'good', repaired: 'good', rejected: 'plain', withdrawn: 'plain', expired: 'plain',
}

export const titleOf = (one: CaseBrief): string => one.lines[0]?.title ?? ''
export const piecesOf = (one: CaseBrief): number => one.lines.reduce((sum, line) => sum + line.quantity, 0)

/** What happens by itself, and when. */
export function nextOf(one: CaseBrief): string {
  if (!one.due_at || !one.then) return ''
  return t(`common.case.then.${one.then}`, { time: formatTime(one.due_at) })
}

/** One line of the log: who did what. */
export function actOf(entry: CaseEntry): string {
  if (entry.party === 'house') return t(`common.case.house.${entry.state_before ?? 'requested'}`)
  return t('common.case.did', { party: t(`common.case.party.${entry.party}`), act: t(`common.case.act.${entry.act}`) })
}

/** What goes with it: an offer, a parcel's number, a decision's terms. */
export function factsOf(entry: CaseEntry, currency: string): string[] {
  const facts = entry.facts as Record<string, unknown>
  const money = (amount: unknown): Money => ({ amount: Number(amount), currency })
  const found: string[] = []
  if (entry.act === 'counter' && facts.kind) found.push(t(`common.case.kind.${String(facts.kind)}`))
  if (typeof facts.amount === 'number' && entry.no > 1) found.push(formatMoney(money(facts.amount)))
  if (facts.carrier) found.push(`${String(facts.carrier)} ${String(facts.number)}`)
  if (typeof facts.freight === 'number' && facts.freight > 0) found.push(t('common.case.freightOf', { amount: formatMoney(money(facts.freight)) }))
  if (entry.act.startsWith('decide')) found.push(t(`common.case.freightBy.${String(facts.freight_by)}`))
  if (facts.sold_out) found.push(t('common.case.soldOut'))
  return found
}

/** The law's name, and the article that says so. */
export function lawOf({ statute, article }: { statute: string; article: string | null }): string {
  const key = `common.case.law.${statute}`
  return [hasWords(key) ? t(key) : statute, article].filter(Boolean).join(' ')
}

export const isOpen = (one: Case | CaseBrief): boolean => one.closed_at === null
