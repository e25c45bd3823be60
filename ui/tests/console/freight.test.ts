// A template while it is edited, and what a rule says of places.
import { describe, expect, it } from 'vitest'
import { draftOf, missing, newRule, newTemplate, rulesOf, takenBeside } from '@/console/freight/draft'
import { placeKey, provincesOf, ZONES } from '@/console/freight/places'
import type { ShippingTemplate } from '@/console/api'

const rule = { delivered: true, first: 1000, first_fee: 600, further: 500, further_fee: 200, free_from_amount: null, free_from_pieces: null }
const near = { country: 'CN', region: '江苏', city: '' }
const template = { id: 't', version: 3, name: 'Parcel', measure: 'weight', is_default: true, rules: [{ ...rule, places: [near] }, { ...rule, places: [] }] } as unknown as ShippingTemplate

describe('a shipping template', () => {
  it('comes back as it was, with everywhere else in front', () => {
    expect(rulesOf(draftOf(template))).toEqual([{ ...rule, places: [] }, { ...rule, places: [near] }])
  })

  it('delivers nowhere else when no rule says so', () => {
    expect(draftOf({ ...template, rules: [template.rules[0]!] }).elsewhere.delivered).toBe(false)
  })

  it('names what is missing', () => {
    const draft = newTemplate(true)
    expect(missing(draft)).toBe('name')
    draft.name = 'Parcel'
    expect(missing(draft)).toBeNull()
    draft.rules.push(newRule('pieces'))
    expect(missing(draft)).toBe('places')
    draft.rules[0]!.places = [near]
    draft.rules[0]!.furtherFee = null
    expect(missing(draft)).toBe('fees')
    draft.rules[0]!.first = null
    expect(missing(draft)).toBe('steps')
    draft.rules[0]!.delivered = false
    expect(missing(draft)).toBeNull()
  })

  it('lets no two rules name one place', () => {
    const draft = draftOf(template)
    const other = newRule('weight')
    draft.rules.push(other)
    expect([takenBeside(draft, other).has(placeKey(near)), takenBeside(draft, draft.rules[0]!).has(placeKey(near))]).toEqual([true, false])
  })

  it('knows every province once', () => {
    const all = ZONES.flatMap(provincesOf)
    expect([all.length, new Set(all).size]).toEqual([34, 34])
  })
})
