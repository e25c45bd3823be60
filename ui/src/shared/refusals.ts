/** A refusal in words: known codes have their own sentence, anything else a plain one. */
import { Refused } from './api/ask'
import type { Money } from './api/types'
import { formatMoney } from './format'
import { hasWords, t } from './i18n'

export function explain(error: unknown): string {
  if (!(error instanceof Refused)) return t('common.refusal.unknown')
  return explainCode(error.code, error.facts)
}

export function explainCode(code: string, facts: Record<string, unknown> = {}): string {
  const key = `common.refusal.${code}`
  if (!hasWords(key)) return t('common.refusal.unknown')
  return t(key, { price: '', ...Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, isMoney(fact) ? formatMoney(fact) : fact])) })
}

function isMoney(fact: unknown): fact is Money {
  return typeof fact === 'object' && fact !== null && 'amount' in fact && 'currency' in fact
}
