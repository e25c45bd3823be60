import { beforeEach, describe, expect, it } from 'vitest'
import type { Activity, CartItem, Show } from '@/shared/api/types'
import type { WelcomeFrame } from '@/shared/room/frames'
import { LINES_MAX, advance, decided, mark, newRoomState, reviewed, say, stand, waits, welcome, type RoomState } from '@/shared/room/state'

const item = (id: string, position: number, change: Partial<CartItem> = {}): CartItem => ({
  id, product_id: `p-${id}`, position, title: id, image: null, on_shelf: true, pinned: false, explaining_since: null, limit_per_person: null,
  sale_ends_at: null, version: 1,
  skus: [{ sku_id: `k-${id}`, options: {}, price: { amount: 100, currency: 'CNY' }, list_price: null, available: 5, aside: 0 }], ...change,
})
const frame = (change: Partial<WelcomeFrame> = {}): WelcomeFrame => ({
  t: 'welcome', v: 1, you: { viewer_id: 'me', name: 'Lin' },
  show: { id: 's', state: 'live', pinned_item_id: 'a', title: 'One' } as Show,
  cart: [item('b', 2), item('a', 1)], chat: [{ id: 'c0', from: { id: 'x', name: 'X' }, text: 'hi', at: '' }], counts: { viewers: 7, likes: 70 }, beat_s: 10,
  ...change,
})
const chat = (id: string, from = 'x') => ({ t: 'chat' as const, id, from: { id: from, name: from }, text: id, at: '' })

let room: RoomState
beforeEach(() => {
  room = newRoomState()
  welcome(room, frame())
})

describe('a room', () => {
  it('starts as the welcome says, the cart in its order', () => {
    expect(room.cart.map((item) => [item.id, item.pinned])).toEqual([['a', true], ['b', false]])
    expect([room.viewers, room.likes, room.lines.length]).toEqual([7, 70, 1])
  })

  it('takes stock, pins, new, changed and removed items as they come', () => {
    advance(room, [
      { t: 'stock', sku: 'k-a', available: 0 },
      { t: 'item', ...item('c', 0) },
      { t: 'item', ...item('b', 2, { version: 2, title: 'B2' }) },
      { t: 'pin', item: 'b' },
    ])
    expect(room.cart.map((item) => [item.id, item.title, item.pinned, item.skus[0]!.available])).toEqual([['c', 'c', false, 5], ['a', 'a', false, 0], ['b', 'B2', true, 5]])
    advance(room, [{ t: 'gone', item: 'b' }])
    expect(room.show!.pinned_item_id).toBeNull()
    expect(room.cart.map((item) => item.id)).toEqual(['c', 'a'])
  })

  it('holds what is played by the newest version, and forgets what ended while the line was down', () => {
    const game = (id: string, version: number, entries = 0) => ({ id, version, entries, kind: 'poll', state: 'open' }) as Activity
    welcome(room, frame({ activities: [game('p', 3, 30)] }))
    advance(room, [{ t: 'activity', ...game('p', 4, 41) }, { t: 'activity', ...game('q', 1) }, { t: 'activity', ...game('p', 2, 20) }])
    expect(room.activities.map((one) => [one.id, one.version, one.entries])).toEqual([['p', 4, 41], ['q', 1, 0]])
    welcome(room, frame({ activities: [game('q', 1, 5)] }))
    expect(room.activities.map((one) => [one.id, one.entries])).toEqual([['q', 5]])
    expect(room.activities[0]).not.toHaveProperty('t')
  })

  it('remembers the most there was of everything, so that what is sold can be seen', () => {
    advance(room, [{ t: 'stock', sku: 'k-a', available: 2 }, { t: 'stock', sku: 'k-b', available: 9 }, { t: 'item', ...item('c', 0) }])
    expect(room.most).toEqual({ 'k-a': 5, 'k-b': 9, 'k-c': 5 })
    welcome(room, frame({ cart: [item('a', 1, { skus: [{ ...item('a', 1).skus[0]!, available: 1 }] })] }))
    expect(room.most['k-a']).toBe(5)
  })

  it('does not go back to an older version of an item', () => {
    advance(room, [{ t: 'item', ...item('a', 1, { version: 3, title: 'new' }) }, { t: 'item', ...item('a', 1, { version: 2, title: 'old' }) }])
    expect(room.cart.find((item) => item.id === 'a')!.title).toBe('new')
  })

  it('hears that the show has ended or is called something else', () => {
    advance(room, [{ t: 'show', state: 'ended', title: 'Two', cover: null }])
    expect([room.show!.state, room.show!.title]).toEqual(['ended', 'Two'])
  })
})

describe('what people say', () => {
  it('shows own words at once and only once', () => {
    say(room, { id: 'c1', text: 'mine', from: { id: 'me', name: 'Lin' } })
    expect(room.lines.at(-1)).toMatchObject({ id: 'c1', state: 'sending' })
    advance(room, [{ t: 'chat', id: 'c1', from: { id: 'me', name: 'Lin' }, text: 'mine', at: 'now' }])
    expect(room.lines.filter((line) => line.id === 'c1')).toHaveLength(1)
    expect(room.lines.at(-1)).toMatchObject({ id: 'c1', state: undefined })
  })

  it('keeps own words that are still under way through a new welcome', () => {
    say(room, { id: 'c1', text: 'mine', from: { id: 'me', name: 'Lin' } })
    welcome(room, frame({ v: 5 }))
    expect(room.lines.map((line) => line.id)).toEqual(['c0', 'c1'])
  })

  it('says which words did not get through', () => {
    say(room, { id: 'c1', text: 'mine', from: { id: 'me', name: 'Lin' } })
    mark(room, 'c1', 'failed')
    expect(room.lines.at(-1)).toMatchObject({ state: 'failed' })
  })

  it('keeps arrivals in a row on one line', () => {
    advance(room, [{ t: 'join', name: 'A', n: 1 }, { t: 'join', name: 'B', n: 3 }, chat('c1'), { t: 'join', name: 'C', n: 1 }])
    expect(room.lines.map((line) => (line.kind === 'join' ? line.name : line.kind))).toEqual(['chat', 'B', 'chat', 'C'])
  })

  it('forgets the oldest lines', () => {
    advance(room, Array.from({ length: LINES_MAX + 50 }, (_, index) => chat(`n${index}`)))
    expect(room.lines).toHaveLength(LINES_MAX)
    expect(room.lines.at(-1)!.id).toBe(`n${LINES_MAX + 49}`)
  })

  it('takes a text back everywhere, and the rules as they change', () => {
    advance(room, [chat('c1'), { t: 'unsay', id: 'c0' }, { t: 'rules', slow_s: 8, fans_only: true, followed_min: 0, review_all: false }])
    expect(room.lines.map((line) => line.id)).toEqual(['c1'])
    expect([room.rules.slow_s, room.rules.fans_only]).toEqual([8, true])
    welcome(room, frame())
    expect(room.rules.slow_s).toBe(0)
  })

  it('keeps a held text with its sender until somebody has looked at it', () => {
    say(room, { id: 'h', text: 'held', from: { id: 'me', name: 'Lin' } })
    mark(room, 'h', 'held')
    welcome(room, frame())
    expect(room.lines.at(-1)).toMatchObject({ id: 'h', state: 'held' })
    reviewed(room, 'h', false)
    expect(room.lines.at(-1)).toMatchObject({ id: 'h', state: 'failed' })
    reviewed(room, 'c0', false)
    expect(room.lines[0]).not.toHaveProperty('state')
  })

  it('knows what waits for review once each, and what one may do', () => {
    const text = { id: 'w', from: { id: 'x', name: 'X' }, text: 'hm', why: 'review', at: '' }
    waits(room, text)
    waits(room, text)
    expect(room.waiting).toHaveLength(1)
    decided(room, 'w')
    expect(room.waiting).toEqual([])
    stand(room, { viewer_id: 'me', name: 'Lin', muted: true, rights: ['delete'] })
    expect(room.you).toMatchObject({ muted: true, rights: ['delete'] })
  })
})
