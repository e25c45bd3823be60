import { describe, expect, it } from 'vitest'
import type { CartItem } from '@/shared/api/types'
import { includes, newPromiseForm, newWaveForm, promiseOf, readCount, toggled, waveOf } from '@/console/desk/waves'

const cny = (amount: number) => ({ amount, currency: 'CNY' })
const item = {
  id: 'i', skus: [
    { sku_id: 'a', options: {}, price: cny(3990), list_price: null, available: 5, aside: 0 },
    { sku_id: 'b', options: {}, price: cny(5000), list_price: null, available: 5, aside: 0 },
  ],
} as unknown as CartItem

describe('a wave as typed', () => {
  it('begins with the prices of the cart and five minutes', () => {
    expect(newWaveForm(item)).toEqual({ skus: [{ sku_id: 'a', pieces: '', price: '39.90' }, { sku_id: 'b', pieces: '', price: '50' }], minutes: '5', limit: '' })
  })

  it('has the SKUs that have pieces', () => {
    const form = newWaveForm(item)
    form.skus[1]!.pieces = '１２'
    expect(waveOf(form, 'CNY')).toEqual({ skus: [{ sku_id: 'b', pieces: 12, price: cny(5000) }], limit_per_person: null, lasts_s: 300 })
  })

  it('is nothing while something makes no sense', () => {
    const form = newWaveForm(item)
    expect(waveOf(form, 'CNY')).toBeNull()
    form.skus[0]!.pieces = '3'
    expect(waveOf({ ...form, minutes: '0' }, 'CNY')).toBeNull()
    expect(waveOf({ ...form, limit: 'x' }, 'CNY')).toBeNull()
    expect(waveOf({ ...form, minutes: '' }, 'CNY')!.lasts_s).toBeNull()
  })

  it('reads whole numbers and nothing else', () => {
    expect([readCount('', 9), readCount('7', 9), readCount('0', 9), readCount('10', 9), readCount('1.5', 9)]).toEqual([null, 7, undefined, undefined, undefined])
  })
})

describe('a promise as typed', () => {
  it('keeps what stands and adds what is clicked', () => {
    const standing = { price: cny(3990), gift: ' A brush ', pieces: null, guarantee: '假一赔十', note: '' }
    const form = newPromiseForm(standing as never)
    expect(promiseOf(form, 'CNY')).toEqual({ price: cny(3990), gift: 'A brush', pieces: null, guarantee: '假一赔十', note: '' })
    expect(toggled('假一赔十', '7天无理由', '、')).toBe('假一赔十、7天无理由')
    expect(toggled('假一赔十、7天无理由', '假一赔十', '、')).toBe('7天无理由')
    expect(includes('a, b', 'b')).toBe(true)
    expect(promiseOf({ ...form, price: 'free' }, 'CNY')).toBeNull()
  })
})
