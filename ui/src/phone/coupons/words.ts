/** A coupon in words: what it gives in large, and the conditions in small. */
import type { Coupon } from '@/shared/api/types'
import { formatMoney, formatTime } from '@/shared/format'
import { currentLocale, t } from '@/shared/i18n'

/** "¥20", "85 折" / "15% off"; of steps the best one. */
export function headline(coupon: Coupon): string {
  if (coupon.kind === 'percent') return percentOff(coupon.bps ?? 0)
  const off = coupon.kind === 'steps' ? coupon.steps.at(-1)?.off : coupon.off
  return off ? formatMoney(off) : ''
}

/** What one has to spend for it, step by step. */
export function condition(coupon: Coupon): string {
  if (coupon.kind === 'steps') {
    return coupon.steps.map((step) => t('phone.coupon.step', { threshold: formatMoney(step.threshold), off: formatMoney(step.off) })).join(t('phone.coupon.comma'))
  }
  const spend = coupon.threshold ? t('phone.coupon.above', { threshold: formatMoney(coupon.threshold) }) : t('phone.coupon.any')
  return coupon.cap ? `${spend} · ${t('phone.coupon.cap', { cap: formatMoney(coupon.cap) })}` : spend
}

/** For whom and on what, as far as it is not for everyone and everything. */
export function limits(coupon: Coupon): string[] {
  const told: string[] = []
  if (coupon.show_id) told.push(t('phone.coupon.showOnly'))
  if (coupon.product_ids) told.push(t('phone.coupon.someGoods', { n: coupon.product_ids.length }))
  if (coupon.new_buyer) told.push(t('phone.coupon.newBuyer'))
  if (coupon.fan_level) told.push(t('phone.coupon.fans', { level: coupon.fan_level }))
  if (coupon.alone) told.push(t('phone.coupon.alone'))
  return told
}

/** What stands on a chip in the room. */
export function brief(coupon: Coupon): string {
  if (coupon.kind === 'percent') return percentOff(coupon.bps ?? 0)
  const step = coupon.kind === 'steps' ? coupon.steps[0] : null
  if (step) return t('phone.coupon.step', { threshold: formatMoney(step.threshold), off: formatMoney(step.off) })
  const off = coupon.off ? formatMoney(coupon.off) : ''
  return coupon.threshold ? t('phone.coupon.step', { threshold: formatMoney(coupon.threshold), off }) : t('phone.coupon.off', { off })
}

/** What keeps somebody from having one; null when nothing does. */
export function whyNot(reason: string | null, facts: Record<string, unknown>, coupon: Coupon): string | null {
  if (!reason || reason === 'sign-in') return null
  if (reason === 'not-begun') return t('phone.coupon.whyNot.not-begun', { starts_at: formatTime(coupon.starts_at) })
  return t(`phone.coupon.whyNot.${reason}`, facts)
}

/** 1500 → "8.5 折" in Chinese, where one says what is left to pay, "15% off" in English. */
export function percentOff(bps: number): string {
  const plain = (value: number) => String(Number(value.toFixed(2)))
  return t('phone.coupon.percent', { rate: currentLocale() === 'zh-CN' ? plain((10_000 - bps) / 1_000) : plain(bps / 100) })
}
