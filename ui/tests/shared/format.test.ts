import { beforeAll, describe, expect, it } from 'vitest'
import { formatAgo, formatCount, formatCountdown, formatDuration, formatMoney, formatTime, moneyParts } from '@/shared/format'
import { setLocale } from '@/shared/i18n'

beforeAll(() => setLocale('en'))

describe('money', () => {
  it.each([
    [{ amount: 1990, currency: 'CNY' }, 'zh-CN', '¥19.90'],
    [{ amount: 12800, currency: 'CNY' }, 'zh-CN', '¥128'],
    [{ amount: 12800, currency: 'CNY' }, 'en', '¥128'],
    [{ amount: 2495, currency: 'USD' }, 'en', '$24.95'],
    [{ amount: 2495, currency: 'USD' }, 'zh-CN', '$24.95'],
    [{ amount: 123456789, currency: 'CNY' }, 'zh-CN', '¥1,234,567.89'],
    [{ amount: 1500, currency: 'JPY' }, 'en', '¥1,500'],
    [{ amount: 295, currency: 'GBP' }, 'en', '£2.95'],
  ] as const)('%o in %s is %s', (money, locale, text) => {
    expect(formatMoney(money, locale)).toBe(text)
  })

  it('comes apart for prices set in several sizes', () => {
    expect(moneyParts({ amount: 123450, currency: 'CNY' }, 'zh-CN')).toEqual({ symbol: '¥', whole: '1,234', cents: '.50' })
    expect(moneyParts({ amount: 12300, currency: 'CNY' }, 'zh-CN')).toEqual({ symbol: '¥', whole: '123', cents: '' })
  })
})

describe('counts', () => {
  it.each([
    [0, 'zh-CN', '0'], [9_999, 'zh-CN', '9,999'], [10_000, 'zh-CN', '1万'], [12_999, 'zh-CN', '1.2万'], [238_400, 'zh-CN', '23.8万'],
    [1_234_567, 'zh-CN', '123万'], [340_000_000, 'zh-CN', '3.4亿'],
    [9_999, 'en', '9,999'], [12_999, 'en', '12k'], [238_400, 'en', '238k'], [1_250_000, 'en', '1.2M'], [340_000_000, 'en', '340M'],
  ] as const)('%i in %s is %s', (count, locale, text) => {
    expect(formatCount(count, locale)).toBe(text)
  })
})

describe('time', () => {
  it('counts down to the second and never below zero', () => {
    expect(formatCountdown(249_000)).toBe('4:09')
    expect(formatCountdown(3_849_000)).toBe('1:04:09')
    expect(formatCountdown(-5)).toBe('0:00')
  })

  it('names the day only when it is another one', () => {
    const now = new Date(2026, 7, 3, 18, 0)
    expect(formatTime(new Date(2026, 7, 3, 14, 5).toISOString(), 'en', now)).toBe('Today 14:05')
    expect(formatTime(new Date(2026, 7, 1, 14, 5).toISOString(), 'en', now)).toBe('Aug 1, 14:05')
    expect(formatTime(new Date(2026, 7, 1, 14, 5).toISOString(), 'zh-CN', now)).toBe('8月1日 14:05')
    expect(formatTime(new Date(2025, 7, 1, 14, 5).toISOString(), 'en', now)).toBe('Aug 1, 2025, 14:05')
  })

  it('says how long ago', () => {
    const now = new Date(2026, 7, 3, 18, 0)
    const ago = (minutes: number) => formatAgo(new Date(now.getTime() - minutes * 60_000).toISOString(), 'en', now)
    expect([ago(0), ago(5), ago(180), ago(60 * 26)]).toEqual(['just now', '5 minutes ago', '3 hours ago', 'yesterday'])
  })

  it('says how long it took', () => {
    expect([formatDuration(45 * 60_000), formatDuration(84 * 60_000)]).toEqual(['45 min', '1 h 24 min'])
  })
})
