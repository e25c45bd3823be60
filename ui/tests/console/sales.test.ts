import { describe, expect, it } from 'vitest'
import { count, LATEST_MAX, newDesk, paid, recall, sold, soldMore, type Sale } from '@/console/desk/sales'

const sale = (id: string, amount = 1000, more: Partial<Sale> = {}): Sale => ({
  id, state: 'placed', total: { amount, currency: 'CNY' }, placed_at: `2026-01-01T00:00:${id.padStart(2, '0')}Z`, buyer: null,
  lines: [{ title: 'x', quantity: 2 }], ...more,
})

describe('sales as they come in', () => {
  it('are counted once, with units and value', () => {
    let desk = sold(newDesk('CNY'), sale('1'))
    desk = sold(desk, sale('1'))
    expect(desk).toMatchObject({ orders: 1, units: 2, placedAmount: 1000, paid: 0, paidAmount: 0 })
  })

  it('become paid once', () => {
    let desk = paid(sold(newDesk('CNY'), sale('1', 700)), '1')
    desk = paid(desk, '1')
    expect(desk).toMatchObject({ paid: 1, paidAmount: 700 })
    expect(desk.latest[0]!.state).toBe('paid')
  })

  it('give way to the server’s own figures', () => {
    const money = (amount: number) => ({ amount, currency: 'CNY' })
    const desk = count(sold(newDesk('CNY'), sale('1')), { orders: 9, paid: 4, units: 12, gmv: { placed: money(90), paid: money(40) }, per_item: [] })
    expect(desk).toMatchObject({ orders: 9, paid: 4, units: 12, placedAmount: 90, paidAmount: 40 })
    expect(desk.latest).toHaveLength(1)
  })

  it('counts what a flood leaves untold, without inventing its value', () => {
    expect(soldMore(newDesk('CNY'), 30)).toMatchObject({ orders: 30, placedAmount: 0 })
  })

  it('never has more paid orders than orders when an old one is paid', () => {
    expect(paid(sold(newDesk('CNY'), sale('1')), 'unknown')).toMatchObject({ paid: 1, paidAmount: 0 })
    expect(paid(newDesk('CNY'), 'unknown').paid).toBe(0)
  })

  it('shows orders that were read without counting them again, newest first', () => {
    const desk = recall(sold(newDesk('CNY'), sale('2')), [sale('1'), sale('3'), sale('2', 1000, { state: 'paid' })])
    expect(desk.orders).toBe(1)
    expect(desk.latest.map(({ id, state }) => id + state)).toEqual(['3placed', '2paid', '1placed'])
  })

  it('keeps a bounded list', () => {
    let desk = newDesk('CNY')
    for (let n = 0; n < LATEST_MAX + 50; n++) desk = sold(desk, sale(String(n)))
    expect(desk.latest).toHaveLength(LATEST_MAX)
    expect(desk.orders).toBe(LATEST_MAX + 50)
  })
})
