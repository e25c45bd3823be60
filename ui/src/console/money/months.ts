/** Months, days and rates as people read them. */
import { currentLocale } from '@/shared/i18n'

/** 2026-11 → 2026年11月 / November 2026 */
export function monthName(month: string): string {
  return new Intl.DateTimeFormat(currentLocale(), { year: 'numeric', month: 'long' }).format(new Date(`${month}-01T00:00:00`))
}

/** 2026-11-03 → 11月3日 周二 / Tue, Nov 3 */
export function dayName(day: string): string {
  return new Intl.DateTimeFormat(currentLocale(), { month: 'short', day: 'numeric', weekday: 'short' }).format(new Date(`${day}T00:00:00`))
}

/** 250 → 2.5 % */
export function percentOf(bps: number): string {
  return new Intl.NumberFormat(currentLocale(), { style: 'percent', maximumFractionDigits: 2 }).format(bps / 10_000)
}
