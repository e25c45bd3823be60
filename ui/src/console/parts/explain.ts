/** A refusal in words: the console's own sentence for its own codes, else the one both pages share. */
import { Refused } from '@/shared/api/ask'
import { hasWords, t } from '@/shared/i18n'
import { explain as explainShared } from '@/shared/refusals'

export function explain(error: unknown): string {
  if (error instanceof Refused && hasWords(`refusal.${error.code}`)) return t(`refusal.${error.code}`, error.facts)
  return explainShared(error)
}
