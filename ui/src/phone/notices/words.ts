/** A notice in words: known kinds have their own sentences, anything else what its facts say. */
import type { Money } from '@/shared/api/types'
import { formatMoney, formatTime } from '@/shared/format'
import { hasWords, t } from '@/shared/i18n'

/** Kinds that people can switch off, in the order in which they are offered. */
export const KINDS = ['show_started', 'show_soon', 'show_moved', 'show_called_off', 'team_complete', 'team_failed', 'parcel_shipped', 'parcel_delivered', 'order_late', 'guarantee_paid', 'review_answered'] as const

export interface Told { kind: string; facts: Record<string, unknown> }

export function titleOf({ kind, facts }: Told): string {
  const key = `phone.notices.kinds.${kind}.title`
  return hasWords(key) ? t(key, shown(facts)) : String(facts.streamer ?? facts.title ?? t('phone.notices.other'))
}

export function textOf({ kind, facts }: Told): string {
  const key = `phone.notices.kinds.${kind}.text`
  return hasWords(key) ? t(key, shown(facts)) : facts.streamer ? String(facts.title ?? '') : ''
}

/** Instants as people write them; a plan that was taken away has no time. */
function shown(facts: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, fact === null ? t('phone.notices.open') : inWords(fact)]))
}

function inWords(fact: unknown): string {
  if (typeof fact === 'object' && fact !== null && 'currency' in fact) return formatMoney(fact as Money)
  return typeof fact === 'string' && /^\d{4}-\d\d-\d\dT/.test(fact) ? formatTime(fact) : String(fact)
}
