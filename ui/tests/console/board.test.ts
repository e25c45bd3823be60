import { describe, expect, it } from 'vitest'
import { merge, since, type Board } from '@/console/board/board'
import { curveOf } from '@/console/desk/curve'

const minute = (at: string, orders = 0) => ({ at, audience: { viewers_max: 7 }, sold: { orders, gmv: { placed: { amount: orders * 100, currency: 'CNY' } } } })
const board = (at: string, ...minutes: ReturnType<typeof minute>[]) =>
  ({ at, minutes, products: [{ product_id: 'p', title: '海参' }], marks: [{ id: 'm', product_id: 'p', begins_at: '2026-11-22T12:00:30Z' }] }) as unknown as Board

describe('the board between two readings', () => {
  const before = board('2026-11-22T12:03:10Z', minute('2026-11-22T12:00:00Z', 1), minute('2026-11-22T12:01:00Z', 2), minute('2026-11-22T12:02:00Z'))

  it('asks again for the minutes that may still change', () => {
    expect(since(null)).toBeUndefined()
    expect(since(before)).toBe('2026-11-22T12:00:10.000Z')
  })

  it('puts new minutes in the place of those they name', () => {
    const after = merge(before, board('2026-11-22T12:03:12Z', minute('2026-11-22T12:01:00Z', 5), minute('2026-11-22T12:02:00Z', 1), minute('2026-11-22T12:03:00Z')))
    expect(after.minutes.map((one) => one.sold.orders)).toEqual([1, 5, 1, 0])
    expect(after.at).toBe('2026-11-22T12:03:12Z')
  })

  it('keeps its minutes when nothing is new', () => {
    expect(merge(before, board('2026-11-22T12:03:12Z')).minutes).toHaveLength(3)
  })

  it('gives the desk its line and its pins from the first minute on', () => {
    const curve = curveOf(before)
    expect(curve.minutes.map(({ viewers, orders, amount }) => [viewers, orders, amount])).toEqual([[7, 1, 100], [7, 2, 200], [7, 0, 0]])
    expect(curve.pins).toEqual([{ at: Date.parse('2026-11-22T12:00:30Z'), title: '海参' }])
  })
})
