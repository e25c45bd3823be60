import { describe, expect, it } from 'vitest'
import { bodyOf, emptyForm, gapOf, lifeOf, type CouponForm } from '@/console/coupons/coupons'

const NOW = new Date('2026-11-11T12:00:00Z')
const form = (change: Partial<CouponForm> = {}): CouponForm => ({ ...emptyForm(NOW), title: '立减', off: 500, budget: 10_000, ...change })

describe('a coupon before it is made', () => {
  it('says the first thing that is missing', () => {
    expect(gapOf(form())).toBe(null)
    expect(gapOf(form({ title: ' ' }))).toBe('title')
    expect(gapOf(form({ off: null }))).toBe('off')
    expect(gapOf(form({ scope: 'products' }))).toBe('products')
    expect(gapOf(form({ scope: 'show' }))).toBe('show')
    expect(gapOf(form({ perPerson: 2_000 }))).toBe('person')
    expect(gapOf(form({ budget: null }))).toBe('budget')
    expect(gapOf(form({ endsAt: '2020-01-01T00:00' }))).toBe('time')
  })

  it('takes steps that rise, each saving below its threshold', () => {
    const steps = (...pairs: [number, number][]) => form({ kind: 'steps', steps: pairs.map(([threshold, off]) => ({ threshold, off })) })
    expect(gapOf(steps([10_000, 1_000], [20_000, 3_000]))).toBe(null)
    expect(gapOf(steps([10_000, 1_000], [9_000, 3_000]))).toBe('steps')
    expect(gapOf(steps([10_000, 10_000]))).toBe('steps')
  })

  it('sends what the kind is about and nothing else', () => {
    const percent = bodyOf('id', form({ kind: 'percent', percent: 15, cap: 3_000, threshold: 5_000 }), 'CNY', 'streamer')
    expect(percent).toMatchObject({ bps: 1_500, cap_amount: 3_000, off_amount: null, steps: null, threshold_amount: 5_000, streamer_id: null, fan_level: 0 })
    const fans = bodyOf('id', form({ audience: 'fans', level: 3 }), 'CNY', 'streamer')
    expect(fans).toMatchObject({ off_amount: 500, bps: null, streamer_id: 'streamer', fan_level: 3, new_buyer: false })
  })

  it('is planned, running, over or stopped', () => {
    const at = (starts: string, ends: string, state: 'running' | 'stopped' = 'running') =>
      lifeOf({ starts_at: starts, ends_at: ends, state } as never, NOW.getTime())
    expect(at('2026-11-12T00:00:00Z', '2026-11-13T00:00:00Z')).toBe('planned')
    expect(at('2026-11-10T00:00:00Z', '2026-11-13T00:00:00Z')).toBe('running')
    expect(at('2026-11-10T00:00:00Z', '2026-11-11T12:00:00Z')).toBe('over')
    expect(at('2026-11-10T00:00:00Z', '2026-11-13T00:00:00Z', 'stopped')).toBe('stopped')
  })
})
