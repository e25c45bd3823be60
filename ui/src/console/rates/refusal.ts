/** Why a rate was refused, with the figures that stand against it. */
import { Refused } from '@/shared/api/ask'
import { formatTime } from '@/shared/format'
import { t } from '@/shared/i18n'
import { percentOf } from '../money/months'

export function explainRate(error: unknown): string | null {
  if (!(error instanceof Refused) || error.code !== 'rates-too-high') return null
  const facts = error.facts as { platform_bps: number; payment_bps: number; streamer_bps: number; category: string | null; at: string }
  return t('rates.tooHigh', {
    platform: percentOf(facts.platform_bps), payment: percentOf(facts.payment_bps), streamer: percentOf(facts.streamer_bps),
    category: facts.category ?? t('rates.everyCategory'), time: formatTime(facts.at),
  })
}
