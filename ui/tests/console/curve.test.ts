import { describe, expect, it } from 'vitest'
import { thin } from '@/console/desk/chart'
import { keepCurve, marks, MINUTE_MS, MINUTES_MAX, newCurve, recallCurve, sawOrder, sawPin, sawViewers, series } from '@/console/desk/curve'

const AT = 1_000 * MINUTE_MS

describe('the minute curve', () => {
  it('keeps the highest viewers and the sum of orders of a minute', () => {
    let curve = sawViewers(newCurve(), AT + 5_000, 10)
    curve = sawViewers(curve, AT + 20_000, 30)
    curve = sawViewers(curve, AT + 59_000, 20)
    curve = sawOrder(sawOrder(curve, AT + 1, 100), AT + 2, 250)
    expect(curve.minutes).toEqual([{ at: AT, viewers: 30, orders: 2, amount: 350 }])
  })

  it('has no holes: a silent minute keeps its viewers and has no orders', () => {
    let curve = sawViewers(newCurve(), AT, 8)
    curve = sawOrder(curve, AT + 3 * MINUTE_MS, 100)
    expect(series(curve, AT + 4 * MINUTE_MS, 1).map(({ viewers, orders }) => [viewers, orders])).toEqual([[8, 0], [8, 0], [8, 0], [8, 1], [8, 0]])
  })

  it('is wide enough from the first minute on', () => {
    const line = series(sawViewers(newCurve(), AT, 8), AT, 10)
    expect(line).toHaveLength(10)
    expect(line[0]!.viewers).toBeNull()
    expect(line.at(-1)!.viewers).toBe(8)
  })

  it('is bounded', () => {
    let curve = newCurve()
    for (let n = 0; n < MINUTES_MAX + 30; n++) curve = sawViewers(curve, AT + n * MINUTE_MS, n)
    expect(curve.minutes).toHaveLength(MINUTES_MAX)
    expect(series(curve, AT + 10_000 * MINUTE_MS).length).toBeLessThanOrEqual(MINUTES_MAX)
  })

  it('puts orders that come late into their own minute', () => {
    let curve = sawViewers(newCurve(), AT + MINUTE_MS, 5)
    curve = sawOrder(curve, AT + 10, 100)
    expect(curve.minutes.map(({ at }) => at)).toEqual([AT, AT + MINUTE_MS])
  })

  it('marks pins at their minute, of several the last, and none outside', () => {
    let curve = sawPin(newCurve(), AT - 60 * MINUTE_MS, 'old')
    curve = sawPin(curve, AT, 'one')
    curve = sawPin(curve, AT + 1_000, 'one')
    curve = sawPin(curve, AT + 9_000, 'two')
    expect(curve.pins).toHaveLength(3)
    expect(marks(curve, series(curve, AT + MINUTE_MS, 3))).toEqual([{ index: 1, title: 'two' }])
  })

  it('survives a reload, and a broken store', () => {
    const curve = sawPin(sawViewers(newCurve(), AT, 3), AT, 'one')
    keepCurve('s', curve)
    expect(recallCurve('s')).toEqual(curve)
    sessionStorage.setItem('laotie.curve.s', '{"minutes":')
    expect(recallCurve('s')).toEqual(newCurve())
  })

  it('leaves out labels that would lie on one another', () => {
    const pins = [{ index: 0, title: 'a' }, { index: 58, title: 'b' }, { index: 59, title: 'c' }]
    expect(thin(pins, 60).map(({ title }) => title)).toEqual(['a', 'c'])
  })
})
