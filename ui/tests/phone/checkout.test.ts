import { describe, expect, it } from 'vitest'
import type { BasketLine, Quote, QuotedLine } from '@/shared/api/types'
import { byShop, sumOf, together, wholeOf } from '@/phone/basket/basket'
import { changesOf, moved, orderOf, troubled } from '@/phone/buying/checkout'
import { Refused } from '@/shared/api/ask'

const cny = (amount: number) => ({ amount, currency: 'CNY' })
const line = (sku_id: string, more: Partial<BasketLine> = {}): BasketLine => ({
  sku_id, product_id: `p-${sku_id}`, shop_id: 'tea', shop_name: 'Tea', title: sku_id, image: '', options: {}, quantity: 2, available: 5, price: cny(1000),
  seen_price: cny(1000), show_id: null, cart_item_id: null, limit_per_person: null, trouble: null, ...more,
})
const quoted = (sku_id: string, more: Partial<QuotedLine> = {}): QuotedLine => ({
  sku_id, product_id: `p-${sku_id}`, cart_item_id: null, title: sku_id, image: '', options: {}, quantity: 2, available: 5, unit_price: cny(1000), reference_price: null,
  amount: cny(2000), discount: cny(0), paid: cny(2000), tax: cny(0), problem: null, ...more,
})
const quote = (lines: QuotedLine[], discount = 0, shipping: number | null = 600): Quote => ({
  orders: [{ shop: { id: 'tea', name: 'Tea' }, lines, goods: cny(4000), discount: cny(discount), shipping: shipping === null ? null : cny(shipping), shipping_problem: null, tax: cny(0), total: cny(4000) }],
  stray: [], coupons: [], chosen: ['claim'], subtotal: cny(4000 - discount), total: cny(4600 - discount), currency: 'CNY', rule_version: 1,
})

describe('the basket', () => {
  it('lists its lines by shop', () => {
    const lines = [line('a'), line('b', { shop_id: 'fish', shop_name: 'Fish' }), line('c')]
    expect(byShop(lines).map((shop) => [shop.name, shop.lines.map((one) => one.sku_id)])).toEqual([['Tea', ['a', 'c']], ['Fish', ['b']]])
    expect(sumOf(lines)).toEqual(cny(6000))
    expect(sumOf([])).toBeNull()
  })

  it('buys together what is in one currency and of one show; what was chosen last counts', () => {
    const lines = [line('a', { show_id: 's1', cart_item_id: 'i' }), line('b', { show_id: 's2', cart_item_id: 'j' }), line('c'), line('d', { price: { amount: 9, currency: 'USD' } })]
    expect([...together(lines, new Set(['a', 'c']), lines[1]!)].sort()).toEqual(['b', 'c'])
    expect([...together(lines, new Set(['a', 'c']), lines[3]!)]).toEqual(['d'])
    expect([...wholeOf(lines)].sort()).toEqual(['a', 'c'])
    expect([...wholeOf([line('x', { trouble: 'sold-out' }), line('y', { trouble: 'too-few' })])]).toEqual(['y'])
  })
})

describe('checking out', () => {
  it('says what changed since the buyer looked', () => {
    const before = quote([quoted('a'), quoted('b'), quoted('c')], 500, 600)
    const after = quote([quoted('a', { unit_price: cny(1200) }), quoted('b', { problem: 'sold-out', available: 0 }), quoted('c', { problem: 'sold-out', available: 1 })], 0, 800)
    expect(changesOf(before, after)).toEqual([
      { kind: 'price', title: 'a', before: cny(1000), after: cny(1200) },
      { kind: 'gone', title: 'b', left: 0 },
      { kind: 'few', title: 'c', left: 1 },
      { kind: 'coupons', before: cny(500), after: cny(0) },
      { kind: 'shipping', before: cny(600), after: cny(800) },
    ])
    expect(changesOf(before, before)).toEqual([])
    expect(changesOf(quote([quoted('a')], 0, null), quote([quoted('a')], 0, 700))).toEqual([])
    expect(troubled(after).map((one) => one.sku_id)).toEqual(['b', 'c'])
  })

  it('asks for exactly what was seen', () => {
    const seen = quote([quoted('a', { cart_item_id: 'item' })])
    expect(orderOf('id', seen, 'show', 'home', { tea: ' at the door ', fish: ' ' })).toEqual({
      id: 'id', show_id: 'show', address_id: 'home', coupons: ['claim'], total: cny(4000), notes: { tea: 'at the door' },
      lines: [{ sku_id: 'a', quantity: 2, unit_price: cny(1000), cart_item_id: 'item' }],
    })
  })

  it('looks again where the shop moved, not where the server is down', () => {
    expect(moved(new Refused('total-changed', 409))).toBe(true)
    expect(moved(new Refused('coupon-refused', 409))).toBe(true)
    expect(moved(new Refused('too-busy', 503))).toBe(false)
  })
})
