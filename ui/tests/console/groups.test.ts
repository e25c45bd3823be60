import { describe, expect, it } from 'vitest'
import { bodyOf, gapOf, inAWeek, type GroupForm } from '@/console/groups/groups'

const NOW = new Date('2026-05-01T10:00:00Z')
const form = (change: Partial<GroupForm> = {}): GroupForm => ({
  size: 3, hours: 24, limit: 1, endsAt: '2026-05-09T00:00',
  rows: [{ sku_id: 's', name: 'red', shelf: { amount: 9900, currency: 'CNY' }, price: 6900, on: true }, { sku_id: 'u', name: 'blue', shelf: { amount: 100, currency: 'CNY' }, price: null, on: false }],
  ...change,
})

describe('a group offer', () => {
  it('is below the shelf, in range and ahead', () => {
    expect(gapOf(form(), NOW)).toBeNull()
    expect(gapOf(form({ rows: [] }), NOW)).toBe('price')
    expect(gapOf(form({ rows: [{ ...form().rows[0]!, price: 9900 }] }), NOW)).toBe('below')
    expect(gapOf(form({ size: 1 }), NOW)).toBe('size')
    expect(gapOf(form({ size: 2.5 }), NOW)).toBe('size')
    expect(gapOf(form({ hours: 73 }), NOW)).toBe('hours')
    expect(gapOf(form({ limit: 0 }), NOW)).toBe('limit')
    expect(gapOf(form({ endsAt: '2026-04-09T00:00' }), NOW)).toBe('ends')
    expect(gapOf(form({ endsAt: '' }), NOW)).toBe('ends')
  })

  it('names the chosen SKUs only', () => {
    expect(bodyOf('o', 'p', form()).prices).toEqual([{ sku_id: 's', price: { amount: 6900, currency: 'CNY' } }])
    expect(inAWeek(new Date(2026, 4, 28, 9))).toBe('2026-06-05T00:00')
  })
})
