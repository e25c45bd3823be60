/** Money as people type it: major units in, whole minor units out; never through a float. */
import type { Money } from '@/shared/api/types'
import { minorUnits } from '@/shared/format'
import { currentLocale } from '@/shared/i18n'

export { readAmount } from '@/shared/format'

/** 1990 → "19.90", 12800 → "128": what stands in the field. */
export function writeAmount(money: Money): string {
  const digits = String(minorUnits(money.currency)).length - 1
  if (digits === 0) return String(money.amount)
  const text = String(money.amount).padStart(digits + 1, '0')
  const cents = text.slice(-digits)
  return /^0+$/.test(cents) ? text.slice(0, -digits) : `${text.slice(0, -digits)}.${cents}`
}

/** A running total: always with its cents, so that it does not change its width with every sale. */
export function formatSum({ amount, currency }: Money): string {
  return new Intl.NumberFormat(currentLocale(), { style: 'currency', currency, currencyDisplay: 'narrowSymbol' }).format(amount / minorUnits(currency))
}
