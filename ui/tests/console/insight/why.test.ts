/** Why GMV changed, in words and steps: from the server's shares alone. */
import { beforeAll, describe, expect, it } from 'vitest'
import { changeOf, daysOver, type Growth } from '@/console/insight/growth'
import { gapOf } from '@/console/insight/goals'
import { matrixOf, sentenceOf, stepsOf, type Why } from '@/console/insight/why'
import { spansOf } from '@/console/insight/parts/waterfall'
import en from '@/console/locales/en.json'
import zh from '@/console/locales/zh-CN.json'
import { currentLocale, i18n } from '@/shared/i18n'

const why: Why = {
  level: 'shop', of: null, before_of: null, kind: 'paid', since: '2026-11-08', until: '2026-11-15', before_since: '2026-11-01', before_until: '2026-11-08', zone: 'Asia/Shanghai', as_of: '2026-11-15T00:00:00Z',
  currency: 'CNY', currencies: ['CNY'], before_amount: 10_000, after_amount: 13_000, difference_amount: 3_000,
  sources: [{ source: 'slot', before_amount: 10_000, after_amount: 8_000 }, { source: 'private', before_amount: 0, after_amount: 5_000 }],
  factors: [{ factor: 'uv', amount: 5_500 }, { factor: 'conversion', amount: -2_500 }],
  items: [
    { source: 'private', factor: 'uv', currency: 'CNY', amount: 5_000, before: 0, after: 3 },
    { source: 'slot', factor: 'uv', currency: 'CNY', amount: 500, before: 10, after: 11 },
    { source: 'slot', factor: 'conversion', currency: 'CNY', amount: -2_500, before: 0.2, after: 0.15 },
  ],
  pushed: [{ source: 'private', factor: 'uv', currency: 'CNY', amount: 5_000, before: 0, after: 3 }],
  pulled: { source: 'slot', factor: 'conversion', currency: 'CNY', amount: -2_500, before: 0.2, after: 0.15 },
}

beforeAll(() => {
  i18n.global.mergeLocaleMessage('en', en)
  i18n.global.mergeLocaleMessage('zh-CN', zh)
})

describe('why', () => {
  it('ends its steps where the period ended', () => {
    for (const by of ['factor', 'source'] as const) {
      const steps = stepsOf(why, by)
      const spans = spansOf(steps)
      expect(spans.at(-2)!.to).toBe(why.after_amount)
      expect(steps.at(-1)).toMatchObject({ amount: why.after_amount, total: true })
    }
  })

  it('says it in one sentence, in both languages', () => {
    const said = sentenceOf(why)
    const english = currentLocale() === 'en'
    expect(said).toContain(english ? 'rose from' : '涨到')
    expect(said).toContain('30%')
    expect(said).toContain('0 → 3')
    expect(said).not.toContain('insight.')
    expect(sentenceOf({ ...why, before_amount: 0, after_amount: 0, difference_amount: 0, pushed: [], pulled: null })).not.toContain('→')
  })

  it('adds up each line and column of its table', () => {
    const { table, foot } = matrixOf(why)
    for (const row of table.rows) expect(row.slice(1, -1).reduce<number>((sum, cell) => sum + Number(cell ?? 0), 0)).toBe(row.at(-1))
    expect(foot.slice(1)).toEqual([5_500, -2_500, 3_000])
  })
})

describe('growth', () => {
  it('says that a comparison is missing instead of a share', () => {
    expect(changeOf(null, 'not_recorded').text).not.toContain('%')
    expect(changeOf(0, null)).toMatchObject({ text: '0%', way: 0 })
  })

  it('draws no curve for a period that was not recorded', () => {
    const answer = { since: '2026-11-01', until: '2026-11-03', month_since: '2026-10-01', month_until: '2026-10-03', year_since: '2025-11-01', year_until: '2025-11-03', recorded_since: '2026-10-01', currency: 'CNY' } as Growth
    const day = (on: string, amount: number) => ({ day: on, source: 'slot', gmv_amount: amount }) as never
    const bands = daysOver(answer, { now: [day('2026-11-02', 5), day('2026-11-02', 6)], month: [], year: [] })
    expect(bands.bands[0]!.curves.map((curve) => curve.values)).toEqual([[0, 11], [0, 0]])
  })
})

describe('a goal', () => {
  it('is not written down without what it needs', () => {
    const draft = { measure: 'partners' as const, money: null, count: 3, threshold: null, since: '2026-11-01', until: '2026-11-30', note: '' }
    expect(gapOf(draft)).toBe('threshold')
    expect(gapOf({ ...draft, threshold: 100 })).toBeNull()
    expect(gapOf({ ...draft, measure: 'gmv' })).toBe('target')
    expect(gapOf({ ...draft, threshold: 100, until: '2026-10-30' })).toBe('days')
  })
})
