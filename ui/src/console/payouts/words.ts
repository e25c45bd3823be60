/** What the system says by itself about a payout, in words; what a person wrote stays as it is. */
import { hasWords, t } from '@/shared/i18n'

export function reasonWords(reason: string): string {
  const key = `payouts.because.${reason}`
  return hasWords(key) ? t(key) : reason
}

export function channelWords(channel: string): string {
  const key = `payouts.channels.${channel}`
  return hasWords(key) ? t(key) : channel
}
