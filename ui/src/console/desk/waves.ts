/** The forms of a wave and a promise: what was typed, read; and what the server is asked. No network, no screen. */
import type { CartItem, Money, Promised } from '@/shared/api/types'
import { readAmount, writeAmount } from '../amounts'

export const PIECES_MAX = 1_000_000
export const LASTS_MIN_MAX = 24 * 60

export interface PromiseForm { price: string; gift: string; pieces: string; guarantee: string; note: string }
export interface PromiseBody { id: string; price: Money | null; gift: string; pieces: number | null; guarantee: string; note: string }
export interface WaveSkuForm { sku_id: string; pieces: string; price: string }
export interface WaveForm { skus: WaveSkuForm[]; minutes: string; limit: string }
export interface WaveBody {
  id: string; skus: { sku_id: string; pieces: number; price: Money }[]; limit_per_person: number | null; lasts_s: number | null
  opens: boolean; promise: PromiseBody | null
}

/** A whole number from one to `max`; null when nothing was typed, undefined when it is no such number. */
export function readCount(text: string, max: number): number | null | undefined {
  const plain = text.normalize('NFKC').replace(/[,\s]/g, '')
  if (plain === '') return null
  const value = /^\d{1,9}$/.test(plain) ? Number(plain) : 0
  return value >= 1 && value <= max ? value : undefined
}

export function newWaveForm(item: CartItem): WaveForm {
  return { skus: item.skus.map((sku) => ({ sku_id: sku.sku_id, pieces: '', price: writeAmount(sku.price) })), minutes: '5', limit: '' }
}

/** What to ask, or nothing while something typed makes no sense. SKUs without pieces are not in the wave. */
export function waveOf(form: WaveForm, currency: string): Omit<WaveBody, 'id' | 'opens' | 'promise'> | null {
  const skus: WaveBody['skus'] = []
  for (const one of form.skus) {
    const pieces = readCount(one.pieces, PIECES_MAX)
    const amount = readAmount(one.price, currency)
    if (pieces === null) continue
    if (pieces === undefined || !amount) return null
    skus.push({ sku_id: one.sku_id, pieces, price: { amount, currency } })
  }
  const minutes = readCount(form.minutes, LASTS_MIN_MAX)
  const limit = readCount(form.limit, 10_000)
  if (skus.length === 0 || minutes === undefined || limit === undefined) return null
  return { skus, limit_per_person: limit, lasts_s: minutes === null ? null : minutes * 60 }
}

export function newPromiseForm(standing: Promised | null | undefined): PromiseForm {
  return {
    price: standing?.price ? writeAmount(standing.price) : '',
    gift: standing?.gift ?? '',
    pieces: standing?.pieces ? String(standing.pieces) : '',
    guarantee: standing?.guarantee ?? '',
    note: standing?.note ?? '',
  }
}

export function isEmpty(form: PromiseForm): boolean {
  return Object.values(form).every((text) => text.trim() === '')
}

/** What is promised, or nothing while something typed makes no sense. */
export function promiseOf(form: PromiseForm, currency: string): Omit<PromiseBody, 'id'> | null {
  const amount = form.price.trim() === '' ? null : readAmount(form.price, currency)
  const pieces = readCount(form.pieces, PIECES_MAX)
  if ((form.price.trim() !== '' && !amount) || pieces === undefined) return null
  return {
    price: amount ? { amount, currency } : null, gift: form.gift.trim(), pieces, guarantee: form.guarantee.trim(), note: form.note.trim(),
  }
}

const BETWEEN = /\s*[、,，;；]\s*/

/** A guarantee that is there is taken back, one that is not is added. */
export function toggled(guarantee: string, preset: string, joint: string): string {
  const known = guarantee.split(BETWEEN).filter(Boolean)
  return (known.includes(preset) ? known.filter((one) => one !== preset) : [...known, preset]).join(joint)
}

export function includes(guarantee: string, preset: string): boolean {
  return guarantee.split(BETWEEN).includes(preset)
}
