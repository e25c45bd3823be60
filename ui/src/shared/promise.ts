/** What the streamer promised, in words, and where in the recording it was said. */
import type { CartItem, Promised } from './api/types'
import { formatCount, formatMoney } from './format'
import { t } from './i18n'

/** One short phrase a promise; nothing when all was taken back. */
export function promiseWords(promised: Promised | null | undefined): string[] {
  if (!promised) return []
  return [
    promised.price ? t('common.promise.price', { price: formatMoney(promised.price) }) : '',
    promised.gift ? t('common.promise.gift', { gift: promised.gift }) : '',
    promised.pieces ? t('common.promise.pieces', { count: formatCount(promised.pieces) }) : '',
    promised.guarantee ?? '',
    promised.note ?? '',
  ].filter(Boolean)
}

/** The show's recording, opened at the second of the promise. */
export function replayOf(promised: Promised): string {
  return `/replay/${promised.show_id}?at=${encodeURIComponent(promised.said_at)}`
}

/** When the item's present sale ends: the open wave's end, else its own; none while a wave is waited for. */
export function saleEnd(item: CartItem): number | null {
  const at = item.wave ? (item.wave.state === 'open' ? item.wave.ends_at : null) : item.sale_ends_at
  return at ? Date.parse(at) : null
}

/** The limit per person that counts now. */
export function limitOf(item: CartItem): number | null {
  return (item.wave ? item.wave.limit_per_person : item.limit_per_person) ?? null
}

/** Sold in waves, and the next one has not begun. */
export function waits(item: CartItem): boolean {
  return item.wave?.state === 'ready'
}
