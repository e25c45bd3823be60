/** Money, counts and time as people write them, by language. Nothing here does arithmetic on money. */
import { currentLocale, t, type Locale } from './i18n'
import type { Money } from './api/types'

/** How many minor units one major unit has: 100 for CNY and USD, 1 for JPY. */
export function minorUnits(currency: string): number {
  return 10 ** digits(currency)
}

/** 19.9 → 1990 (CNY); null when it is not a price. Full-width digits and points are taken as what they mean. */
export function readAmount(text: string, currency: string): number | null {
  const digits = String(minorUnits(currency)).length - 1
  const plain = text.normalize('NFKC').replace(/[¥￥$,\s]/g, '').replaceAll('。', '.')
  const match = /^(\d{1,11})(?:\.(\d*))?$/.exec(plain)
  if (!match || (match[2]?.length ?? 0) > digits) return null
  return Number(match[1]! + (match[2] ?? '').padEnd(digits, '0'))
}

/** ¥19.90 / $19.90; whole amounts without decimals: ¥128. */
export function formatMoney(money: Money, locale: Locale = currentLocale()): string {
  return formatter(money, locale).format(money.amount / minorUnits(money.currency))
}

/** The same in pieces, so that a price can be set with a small symbol and small decimals. */
export function moneyParts(money: Money, locale: Locale = currentLocale()): { symbol: string; whole: string; cents: string } {
  const parts = formatter(money, locale).formatToParts(money.amount / minorUnits(money.currency))
  const pick = (...types: string[]) => parts.filter((part) => types.includes(part.type)).map((part) => part.value).join('')
  return { symbol: pick('currency'), whole: pick('minusSign', 'integer', 'group'), cents: pick('decimal', 'fraction') }
}

/** 9,999 · 1.2万 / 12k · 3.4亿 / 340M. Rounded down, so that a count never claims more than there is. */
export function formatCount(count: number, locale: Locale = currentLocale()): string {
  if (count < 10_000) return new Intl.NumberFormat(locale).format(count)
  const steps: [number, string][] = locale === 'zh-CN' ? [[1e8, '亿'], [1e4, '万']] : [[1e9, 'B'], [1e6, 'M'], [1e3, 'k']]
  const [size, unit] = steps.find(([size]) => count >= size)!
  const value = count / size
  const shown = value >= 100 || (locale === 'en' && value >= 10) ? Math.floor(value) : Math.floor(value * 10) / 10
  return `${shown}${unit}`
}

/** 4:09 · 1:04:09 */
export function formatCountdown(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000))
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** Today 14:05, else 8月3日 14:05 / Aug 3, 14:05; the year only when it is another one. By this device's zone, or by `timeZone`. */
export function formatTime(iso: string, locale: Locale = currentLocale(), now: Date = new Date(), timeZone?: string): string {
  const at = new Date(iso)
  const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone }
  const dayOf = (one: Date) => new Intl.DateTimeFormat('sv-SE', { timeZone }).format(one)
  const [day, today] = [dayOf(at), dayOf(now)]
  if (day === today) return t('common.time.today', { time: new Intl.DateTimeFormat(locale, clock).format(at) })
  const year: Intl.DateTimeFormatOptions = day.slice(0, 4) === today.slice(0, 4) ? {} : { year: 'numeric' }
  return new Intl.DateTimeFormat(locale, { ...year, month: 'short', day: 'numeric', ...clock }).format(at)
}

/** just now, 5 minutes ago, 3 hours ago, yesterday, then the date. */
export function formatAgo(iso: string, locale: Locale = currentLocale(), now: Date = new Date()): string {
  const minutes = Math.floor((now.getTime() - new Date(iso).getTime()) / 60_000)
  if (minutes < 1) return t('common.time.now')
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  if (minutes < 60) return relative.format(-minutes, 'minute')
  if (minutes < 24 * 60) return relative.format(-Math.floor(minutes / 60), 'hour')
  if (minutes < 7 * 24 * 60) return relative.format(-Math.floor(minutes / 1440), 'day')
  return formatTime(iso, locale, now)
}

/** How long a show ran: 1 小时 24 分 / 1 h 24 min. */
export function formatDuration(milliseconds: number): string {
  const minutes = Math.max(0, Math.round(milliseconds / 60_000))
  return minutes < 60
    ? t('common.time.minutes', { minutes })
    : t('common.time.hours', { hours: Math.floor(minutes / 60), minutes: minutes % 60 })
}

function digits(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
}

function formatter(money: Money, locale: Locale): Intl.NumberFormat {
  const whole = money.amount % minorUnits(money.currency) === 0
  return new Intl.NumberFormat(locale, {
    style: 'currency',
    currency: money.currency,
    currencyDisplay: 'narrowSymbol',
    minimumFractionDigits: whole ? 0 : digits(money.currency),
  })
}

/** A calendar day with its year: how long something holds, when it was made. */
export function formatDay(iso: string, locale: Locale = currentLocale()): string {
  const at = /^\d{4}-\d\d-\d\d$/.test(iso) ? new Date(`${iso}T00:00:00`) : new Date(iso)
  return new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric' }).format(at)
}
