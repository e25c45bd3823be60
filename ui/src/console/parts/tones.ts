/** Which colour a state wears: warm for what is happening, green for money in, red for what went wrong, grey otherwise. */
import type { OrderState, ShowState } from '@/shared/api/types'

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'hot'

export const SHOW_TONES: Record<ShowState, Tone> = { scheduled: 'plain', live: 'hot', ended: 'plain' }
export const ORDER_TONES: Record<OrderState, Tone> = {
  placed: 'warn', paid: 'good', shipped: 'plain', completed: 'plain', cancelled: 'plain', refunded: 'bad',
}
export const PRODUCT_TONES: Record<string, Tone> = { draft: 'warn', listed: 'good', delisted: 'plain' }
