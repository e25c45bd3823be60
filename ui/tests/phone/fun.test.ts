import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Activity, CartItem, Grant } from '@/shared/api/types'
import { heardServer, useNow } from '@/shared/now'
import { offerOfGrant } from '@/phone/fun/bargain'
import { sidesOf } from '@/phone/fun/pk'
import { keepReceipt, nonceOf, receiptOf } from '@/phone/fun/receipts'
import { effectScope } from 'vue'

beforeEach(() => localStorage.clear())

describe('a receipt', () => {
  it('has one random nonce an activity, the same at a second try', () => {
    expect(nonceOf('a')).toMatch(/^[0-9a-f]{32}$/)
    expect(nonceOf('a')).toBe(nonceOf('a'))
    expect(nonceOf('b')).not.toBe(nonceOf('a'))
  })

  it('is kept on this device; an answer of "again" does not take its nonce away', () => {
    keepReceipt('a', { no: 3, head: 'ff', nonce: '0a' })
    keepReceipt('a', { no: 3, head: 'ff', nonce: null })
    expect(receiptOf('a')).toEqual({ no: 3, head: 'ff', nonce: '0a' })
    expect(receiptOf('b')).toBeNull()
  })

  it('survives a device whose store was written by somebody else', () => {
    localStorage.setItem('laotie.receipts', '{"no":1}')
    expect(receiptOf('a')).toBeNull()
  })
})

describe('a bargained price', () => {
  it('is one piece of one thing, beside what the price history bears out', () => {
    const sku = (id: string) => ({ sku_id: id, options: {}, price: { amount: 3900, currency: 'CNY' }, list_price: id === 'l' ? { amount: 4900, currency: 'CNY' } : null, available: 9, aside: 0 })
    const item = { id: 'i', product_id: 'p', title: 'Kelp', image: null, on_shelf: true, limit_per_person: null, skus: [sku('k'), sku('l')] } as unknown as CartItem
    const offer = offerOfGrant(item, { sku_id: 'l', price: { amount: 1900, currency: 'CNY' } } as Grant)
    expect([offer.limit, offer.skus.map((one) => [one.sku_id, one.price.amount, one.list_price?.amount])]).toEqual([1, [['l', 1900, 4900]]])
  })
})

describe('a duel', () => {
  it('shows the room one is in first, in either room', () => {
    const activity = { pk: { sides: [{ show_id: 'a' }, { show_id: 'b' }] } } as unknown as Activity
    expect([sidesOf(activity, 'a')[0]!.show_id, sidesOf(activity, 'b')[0]!.show_id]).toEqual(['a', 'b'])
  })
})

describe('the server’s clock', () => {
  it('is the one that deadlines are kept by, when this device is off', () => {
    vi.useFakeTimers({ now: 1_000_000_000_000 })
    const scope = effectScope()
    const now = scope.run(() => useNow())!
    heardServer(new Date(1_000_000_090_000).toUTCString())
    expect(Math.abs(now.value - 1_000_000_090_000)).toBeLessThan(1_000)
    heardServer(new Date(1_000_000_001_000).toUTCString())
    expect(now.value).toBe(1_000_000_000_000)
    heardServer(null)
    expect(now.value).toBe(1_000_000_000_000)
    scope.stop()
    vi.useRealTimers()
  })
})

describe('the words of fun', () => {
  it.each(['zh-CN', 'en'])('has every rule and every odds that the server names, in %s', (locale) => {
    const named = readFileSync(join(process.cwd(), '../src/laotie/fun/listing.py'), 'utf8').matchAll(/"fun\.(rule|odds)\.(\w+)"/g)
    const words = JSON.parse(readFileSync(join(process.cwd(), `src/shared/i18n/common.${locale}.json`), 'utf8')).common.fun
    const keys = [...named].map(([, group, name]) => [group!, name!] as const)
    expect(keys.length).toBeGreaterThan(12)
    expect(keys.filter(([group, name]) => !words[group][name])).toEqual([])
  })
})
