import { describe, expect, it } from 'vitest'
import { formatPosition, instantOf, positionOf, stretchAt } from '@/shared/player/moments'

const spans = [
  { from_s: 0, to_s: 60, begins_at: '2026-01-01T12:00:00.000Z' },
  { from_s: 60, to_s: 90, begins_at: '2026-01-01T12:05:00.000Z' },
]

describe('moments of a recording', () => {
  it('finds where an instant lies', () => {
    expect(positionOf(spans, '2026-01-01T12:00:30.500Z')).toEqual({ at: 30.5, kept: true })
    expect(positionOf(spans, '2026-01-01T12:05:10Z')).toEqual({ at: 70, kept: true })
  })

  it('goes on after a gap, and says that the second itself is missing', () => {
    expect(positionOf(spans, '2026-01-01T12:03:00Z')).toEqual({ at: 60, kept: false })
    expect(positionOf(spans, '2026-01-01T11:00:00Z')).toEqual({ at: 0, kept: false })
    expect(positionOf(spans, '2026-01-01T13:00:00Z')).toEqual({ at: 90, kept: false })
  })

  it('maps back', () => {
    expect(instantOf(spans, 30.5)?.toISOString()).toBe('2026-01-01T12:00:30.500Z')
    expect(instantOf(spans, 60)?.toISOString()).toBe('2026-01-01T12:05:00.000Z')
    expect(instantOf([], 3)).toBeNull()
  })

  it('knows what is explained at a position, the open end included', () => {
    const marks = [{ id: 1, from_s: 5, to_s: 20 }, { id: 2, from_s: 20, to_s: null }]
    expect(stretchAt(marks, 4)).toBeNull()
    expect(stretchAt(marks, 19.9)?.id).toBe(1)
    expect(stretchAt(marks, 500)?.id).toBe(2)
  })

  it('writes positions as clocks do', () => {
    expect([0, 65, 3_909].map(formatPosition)).toEqual(['0:00', '1:05', '1:05:09'])
  })
})
