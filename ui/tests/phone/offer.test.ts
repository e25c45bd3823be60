import { describe, expect, it } from 'vitest'
import type { CartSku } from '@/shared/api/types'
import { available, canChoose, cheapest, chosenSku, firstChoice, optionGroups, quantityMax, type Offer } from '@/phone/buying/offer'

const sku = (colour: string, size: string, left: number, amount = 5900): CartSku => ({
  sku_id: `${colour}-${size}`, options: { colour, size }, price: { amount, currency: 'CNY' }, list_price: null, available: left, aside: 0,
})
const skus = [sku('red', '110', 0), sku('red', '120', 3), sku('blue', '110', 2, 4900), sku('blue', '120', 0, 3900)]
const offer = (limit: number | null): Offer => ({ item_id: 'i', product_id: 'p', title: 't', image: null, on_shelf: true, limit, skus, promised: null, waits: false })

describe('choosing', () => {
  it('lists the options in the order of the shop', () => {
    expect(optionGroups(skus)).toEqual([{ name: 'colour', values: ['red', 'blue'] }, { name: 'size', values: ['110', '120'] }])
  })

  it('offers only what leads to something in stock', () => {
    expect(canChoose(skus, {}, 'size', '110')).toBe(true)
    expect(canChoose(skus, { colour: 'red' }, 'size', '110')).toBe(false)
    expect(canChoose(skus, { colour: 'red', size: '120' }, 'colour', 'blue')).toBe(false)
  })

  it('means a SKU only when everything is chosen', () => {
    expect(chosenSku(skus, { colour: 'red' })).toBeNull()
    expect(chosenSku(skus, { colour: 'red', size: '120' })?.sku_id).toBe('red-120')
    expect(chosenSku([{ ...skus[0]!, options: {} }], {})?.sku_id).toBe('red-110')
  })

  it('chooses by itself only where nothing is left to decide', () => {
    expect(firstChoice(skus)).toEqual({})
    expect(firstChoice([sku('red', '110', 1), sku('red', '120', 1)])).toEqual({ colour: 'red' })
    expect(firstChoice([sku('red', '110', 0), sku('blue', '120', 1)])).toEqual({ colour: 'blue', size: '120' })
  })
})

describe('prices and quantities', () => {
  it('shows the lowest price that can be bought', () => {
    expect(cheapest(skus)?.price.amount).toBe(4900)
    expect(cheapest(skus.map((sku) => ({ ...sku, available: 0 })))?.price.amount).toBe(3900)
    expect(available(skus)).toBe(5)
  })

  it('allows no more than the limit, the stock and reason', () => {
    expect(quantityMax(offer(2), skus[1]!)).toBe(2)
    expect(quantityMax(offer(null), skus[1]!)).toBe(3)
    expect(quantityMax(offer(null), { ...skus[1]!, available: 5_000 })).toBe(99)
    expect(quantityMax(offer(null), skus[0]!)).toBe(1)
  })
})
