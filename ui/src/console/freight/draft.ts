/** A shipping template while it is being edited: one rule for everywhere else, and those for named places. */
import { newId } from '@/shared/ids'
import type { Place, ShippingMeasure, ShippingRule, ShippingTemplate } from '../api'
import { placeKey } from './places'

export interface RuleDraft {
  key: string; places: Place[]; delivered: boolean
  first: number | null; firstFee: number | null; further: number | null; furtherFee: number | null
  freeAmount: number | null; freePieces: number | null
}
export interface TemplateDraft { id: string; version: number | null; name: string; measure: ShippingMeasure; isDefault: boolean; elsewhere: RuleDraft; rules: RuleDraft[] }

export function newRule(measure: ShippingMeasure): RuleDraft {
  const step = measure === 'weight' ? 1000 : 1
  return { key: newId(), places: [], delivered: true, first: step, firstFee: 0, further: step, furtherFee: 0, freeAmount: null, freePieces: null }
}

export function newTemplate(first: boolean): TemplateDraft {
  return { id: newId(), version: null, name: '', measure: 'weight', isDefault: first, elsewhere: newRule('weight'), rules: [] }
}

export function draftOf(template: ShippingTemplate): TemplateDraft {
  const drafts = template.rules.map((rule) => ({
    key: newId(),
    places: [...(rule.places ?? [])],
    delivered: rule.delivered,
    first: rule.first,
    firstFee: rule.first_fee,
    further: rule.further,
    furtherFee: rule.further_fee,
    freeAmount: rule.free_from_amount ?? null,
    freePieces: rule.free_from_pieces ?? null,
  }))
  const elsewhere = drafts.find((rule) => rule.places.length === 0) ?? { ...newRule(template.measure), delivered: false }
  return {
    id: template.id, version: template.version, name: template.name, measure: template.measure, isDefault: template.is_default,
    elsewhere, rules: drafts.filter((rule) => rule.places.length > 0),
  }
}

function ruleOf(draft: RuleDraft): ShippingRule {
  return {
    places: draft.places,
    delivered: draft.delivered,
    first: draft.first ?? 1,
    first_fee: draft.firstFee ?? 0,
    further: draft.further ?? 1,
    further_fee: draft.furtherFee ?? 0,
    free_from_amount: draft.freeAmount,
    free_from_pieces: draft.freePieces,
  }
}

export const rulesOf = (draft: TemplateDraft): ShippingRule[] => [ruleOf(draft.elsewhere), ...draft.rules.map(ruleOf)]

/** What is missing before it can be saved; the keys are words in the catalogue. */
export function missing(draft: TemplateDraft): string | null {
  if (!draft.name.trim()) return 'name'
  if (draft.rules.some((rule) => rule.places.length === 0)) return 'places'
  for (const rule of [draft.elsewhere, ...draft.rules]) {
    if (!rule.delivered) continue
    if (!rule.first || !rule.further) return 'steps'
    if (rule.firstFee === null || rule.furtherFee === null) return 'fees'
  }
  return null
}

/** Places that other rules of the draft name. */
export function takenBeside(draft: TemplateDraft, rule: RuleDraft): Set<string> {
  return new Set(draft.rules.filter((other) => other !== rule).flatMap((other) => other.places.map(placeKey)))
}
