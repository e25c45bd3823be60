/** Coupons at the desk: what the form holds, what is missing, what is sent; and a coupon in words. */
import type { components } from '@/shared/api/schema'
import { ask } from '@/shared/api/ask'
import type { CouponFigures, Page } from '@/shared/api/types'
import { formatMoney } from '@/shared/format'
import { currentLocale, t } from '@/shared/i18n'

export type Kind = components['schemas']['NewCoupon']['kind']
export type Scope = 'all' | 'products' | 'show'
export type Audience = 'all' | 'new' | 'fans'
export type Gap = 'title' | 'off' | 'steps' | 'products' | 'show' | 'quantity' | 'person' | 'budget' | 'time'
export interface StepRow { threshold: number | null; off: number | null }
export interface CouponForm {
  title: string; kind: Kind; off: number | null; percent: number; cap: number | null; threshold: number | null; steps: StepRow[]
  scope: Scope; products: string[]; show: string; audience: Audience; level: number; alone: boolean
  quantity: number; perPerson: number; budget: number | null; startsAt: string; endsAt: string; validDays: number | null
}

export const LEVEL_MAX = 5
export const STEPS_MAX = 5
export const QUANTITY_MAX = 10_000_000
export const PER_PERSON_MAX = 100

/** A shop's coupons, or the platform's where no shop is given. */
export const listCoupons = (shop: string | null, after: string | null) =>
  shop === null
    ? ask<Page<CouponFigures>>('get', '/api/platform/coupons', { query: { after } })
    : ask<Page<CouponFigures>>('get', '/api/shops/{shop}/coupons', { path: { shop }, query: { after } })
export const endCoupon = (id: string) => ask<CouponFigures>('post', '/api/coupons/{id}/end', { path: { id }, body: {} })
export function makeCoupon(shop: string | null, body: Record<string, unknown>) {
  return shop === null
    ? ask<CouponFigures>('post', '/api/platform/coupons', { body })
    : ask<CouponFigures>('post', '/api/shops/{shop}/coupons', { path: { shop }, body })
}

export function emptyForm(now: Date): CouponForm {
  return {
    title: '', kind: 'fixed', off: null, percent: 10, cap: null, threshold: null, steps: [{ threshold: null, off: null }],
    scope: 'all', products: [], show: '', audience: 'all', level: 1, alone: false,
    quantity: 1000, perPerson: 1, budget: null, startsAt: local(now), endsAt: local(new Date(now.getTime() + 7 * 86_400_000)), validDays: null,
  }
}

/** The first thing that is not right yet. */
export function gapOf(form: CouponForm): Gap | null {
  if (!form.title.trim()) return 'title'
  if (form.kind === 'fixed' && !form.off) return 'off'
  if (form.kind === 'steps' && !rises(form.steps)) return 'steps'
  if (form.scope === 'products' && form.products.length === 0) return 'products'
  if (form.scope === 'show' && !form.show) return 'show'
  if (!Number.isInteger(form.quantity) || form.quantity < 1) return 'quantity'
  if (!Number.isInteger(form.perPerson) || form.perPerson < 1 || form.perPerson > form.quantity) return 'person'
  if (!form.budget) return 'budget'
  return Date.parse(form.endsAt) > Date.parse(form.startsAt) ? null : 'time'
}

function rises(steps: StepRow[]): boolean {
  return steps.every((step, index) => {
    const before = steps[index - 1]
    return Boolean(step.threshold && step.off && step.off < step.threshold)
      && (!before || (step.threshold! > before.threshold! && step.off! > before.off!))
  })
}

/** What is sent; `streamer` is whose fans are meant. */
export function bodyOf(id: string, form: CouponForm, currency: string, streamer: string | null): Record<string, unknown> {
  return {
    id, title: form.title.trim(), kind: form.kind, currency,
    threshold_amount: form.kind === 'steps' ? 0 : (form.threshold ?? 0),
    off_amount: form.kind === 'fixed' ? form.off : null,
    bps: form.kind === 'percent' ? Math.round(form.percent * 100) : null,
    cap_amount: form.kind === 'percent' ? form.cap : null,
    steps: form.kind === 'steps' ? form.steps.map((step) => ({ threshold_amount: step.threshold, off_amount: step.off })) : null,
    product_ids: form.scope === 'products' ? form.products : null,
    show_id: form.scope === 'show' ? form.show : null,
    streamer_id: form.audience === 'fans' ? streamer : null,
    fan_level: form.audience === 'fans' ? form.level : 0,
    new_buyer: form.audience === 'new', alone: form.alone,
    quantity: form.quantity, per_person: form.perPerson, budget_amount: form.budget,
    starts_at: new Date(form.startsAt).toISOString(), ends_at: new Date(form.endsAt).toISOString(), valid_days: form.validDays || null,
  }
}

/** An instant as a date field holds it. */
export function local(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`
}

/** What a coupon gives, in a line. */
export function terms(coupon: CouponFigures): string {
  if (coupon.kind === 'steps') return coupon.steps.map((step) => t('coupons.step', { threshold: formatMoney(step.threshold), off: formatMoney(step.off) })).join(t('coupons.comma'))
  const off = coupon.kind === 'fixed' ? (coupon.off ? formatMoney(coupon.off) : '') : rate(coupon.bps ?? 0)
  const given = coupon.kind === 'fixed' ? t('coupons.off', { off }) : coupon.cap ? t('coupons.capped', { off, cap: formatMoney(coupon.cap) }) : off
  return coupon.threshold ? t('coupons.from', { threshold: formatMoney(coupon.threshold), given }) : given
}

/** 15 % off is said as what is left to pay in Chinese. */
export function rate(bps: number): string {
  const plain = (value: number) => String(Number(value.toFixed(2)))
  return t('coupons.percent', { rate: currentLocale() === 'zh-CN' ? plain((10_000 - bps) / 1_000) : plain(bps / 100) })
}

/** For whom and on what. */
export function scopes(coupon: CouponFigures): string[] {
  return [
    coupon.show_id ? t('coupons.scope.show') : coupon.product_ids ? t('coupons.someGoods', { n: coupon.product_ids.length }) : t('coupons.scope.all'),
    ...(coupon.new_buyer ? [t('coupons.audience.new')] : []),
    ...(coupon.fan_level ? [t('coupons.fans', { level: coupon.fan_level })] : []),
    ...(coupon.alone ? [t('coupons.aloneShort')] : []),
  ]
}

export type Life = 'planned' | 'running' | 'over' | 'stopped'
export function lifeOf(coupon: CouponFigures, now: number): Life {
  if (coupon.state === 'stopped') return 'stopped'
  if (Date.parse(coupon.ends_at) <= now) return 'over'
  return Date.parse(coupon.starts_at) > now ? 'planned' : 'running'
}
