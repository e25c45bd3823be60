import { currentLocale } from '@/shared/i18n'
import type { Tone } from '../parts/tones'
import type { Carrier, Parcel } from './api'

export const carrierName = (carrier: Carrier): string => (currentLocale() === 'zh-CN' ? carrier.zh : carrier.en)

export const PARCEL_TONES: Record<Parcel['state'], Tone> = {
  registered: 'warn', moving: 'plain', delivered: 'good', returned: 'bad', cancelled: 'plain',
}

/** How a promise stands: hours left, or late; `soon` within six hours. */
export function timeLeft(shipBy: string | null | undefined, now: number): { hours: number; late: boolean; soon: boolean } | null {
  if (!shipBy) return null
  const left = Date.parse(shipBy) - now
  return { hours: Math.max(0, Math.floor(Math.abs(left) / 3_600_000)), late: left <= 0, soon: left > 0 && left < 6 * 3_600_000 }
}
