import { describe, expect, it } from 'vitest'
import { readAmount, writeAmount } from '@/console/amounts'
import { orderNumber } from '@/shared/ids'
import { toCsv } from '@/console/csv'
import { actOf } from '@/console/desk/shortcuts'
import { addressLines } from '@/console/orders/words'
import { changedRows, draftOf, formDiffers, missing, newDraft, newRow, optionsOf } from '@/console/products/draft'

describe('amounts', () => {
  it.each([
    ['19.9', 'CNY', 1990], ['19.90', 'CNY', 1990], ['128', 'CNY', 12800], ['0.05', 'USD', 5], ['¥1,299', 'CNY', 129900], ['１９．９', 'CNY', 1990],
    ['8.70', 'EUR', 870], ['1500', 'JPY', 1500], ['5.', 'CNY', 500],
  ])('reads %s %s', (text, currency, amount) => expect(readAmount(text, currency)).toBe(amount))

  it.each([['19.999', 'CNY'], ['1.5', 'JPY'], ['-3', 'CNY'], ['abc', 'CNY'], ['', 'CNY'], ['1e5', 'CNY'], ['999999999999', 'CNY']])(
    'does not guess at %s %s', (text, currency) => expect(readAmount(text, currency)).toBeNull(),
  )

  it('writes what it reads', () => {
    for (const amount of [1, 5, 10, 99, 100, 1990, 12800]) {
      expect(readAmount(writeAmount({ amount, currency: 'CNY' }), 'CNY')).toBe(amount)
    }
  })

  it('names an order by the random end of its id', () => {
    expect(orderNumber('0193a1b2-0000-7000-8000-00000abcdef1')).toBe('000ABCDEF1')
  })
})

describe('CSV', () => {
  it('quotes, and keeps spreadsheets from running a buyer’s name', () => {
    const text = toCsv(['a', 'b'], [['x,"y"', 3], ['=1+1', null], ['@sum', 1.5]])
    expect(text).toBe('\uFEFFa,b\r\n"x,""y""",3\r\n\'=1+1,\r\n\'@sum,1.5\r\n')
  })
})

describe('the desk’s keys', () => {
  const press = (key: string, tag = 'BODY', more = {}) =>
    actOf({ key, ctrlKey: false, metaKey: false, altKey: false, target: { tagName: tag } as never, ...more })

  it('act by themselves and leave the typist alone', () => {
    expect([press('p'), press('N'), press('?'), press('/'), press('ArrowDown')]).toEqual(['pin', 'next', 'help', 'search', 'down'])
    expect(press('p', 'INPUT')).toBeNull()
    expect(press('p', 'BODY', { ctrlKey: true })).toBeNull()
    expect(press('z', 'BODY', { metaKey: true })).toBe('undo')
  })
})

describe('a product being edited', () => {
  const product = {
    id: 'p', shop_id: 's', title: 'Tee', description: '', images: [], category: '', state: 'draft', version: 3,
    tax_bps: 0, shipping_template_id: null, brand_id: null, delisted_why: null,
    skus: [
      { id: 'k1', code: 'A', options: { Size: '110', Colour: 'red' }, price: { amount: 100, currency: 'CNY' }, list_price: null, available: 3, state: 'active', weight_grams: 0, own_list_price: null },
      { id: 'k2', code: 'B', options: { Size: '120', Colour: 'red' }, price: { amount: 100, currency: 'CNY' }, list_price: null, available: 0, state: 'active', weight_grams: 0, own_list_price: null },
    ],
  }

  it('says nothing to the server when nothing changed', () => {
    const draft = draftOf(product)
    expect(draft.columns).toEqual(['Size', 'Colour'])
    expect(formDiffers(draft, product)).toBe(false)
    expect(changedRows(draft, product)).toEqual([])
  })

  it('finds changed, renamed and new rows', () => {
    const draft = draftOf(product)
    draft.rows[1]!.price = 120
    draft.rows.push(newRow(draft.columns))
    expect(changedRows(draft, product).map((row) => row.code)).toEqual(['B', ''])
    draft.columns[0] = 'Height'
    expect(changedRows(draft, product)).toHaveLength(3)
    expect(optionsOf(draft.columns, draft.rows[0]!)).toEqual({ Height: '110', Colour: 'red' })
  })

  it('names what is missing', () => {
    expect(missing(newDraft())).toEqual(['title', 'price'])
    const draft = draftOf(product)
    draft.rows[1]!.values = ['110', 'red']
    draft.rows[0]!.listPrice = 50
    expect(missing(draft)).toEqual(['listPrice', 'options'])
    draft.rows[1]!.state = 'retired'
    expect(missing(draft)).toEqual(['listPrice'])
  })
})

describe('an address', () => {
  const address = { id: 'a', name: 'Lin', phone: '1', country: 'CN', region: '江苏省', city: '苏州市', district: '姑苏区', street: '平江路 212 号', postcode: '215005', is_default: true }

  it('is written the way of its country', () => {
    expect(addressLines(address)).toEqual(['江苏省苏州市姑苏区', '平江路 212 号', '215005'])
    expect(addressLines({ ...address, country: 'GB', region: '', city: 'London', district: '', street: '1 High St', postcode: 'W1' })).toEqual(['1 High St', 'London', 'W1 GB'])
  })
})
