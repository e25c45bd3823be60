/** A show looked back on: its minutes as bands, what was explained as pins, and where in the recording a minute is. */
import type { Board } from '../board/board'
import type { Bands, Pin } from './parts/bands'

export interface Words {
  minute: string
  viewers: string
  watch: string
  orders: string
  placed: string
  paid: string
  /** Said where the chat is a curve too. */
  chats?: string
}

/** Where each explanation began on the axis of minutes; of several in one minute the last. */
export function pinsOf({ minutes, marks }: Board, titles: Map<string, string>): Pin[] {
  const found = new Map<number, string>()
  for (const mark of marks) {
    const index = minutes.findLastIndex((minute) => minute.at <= mark.begins_at)
    if (index >= 0) found.set(index, titles.get(mark.product_id) ?? '')
  }
  return [...found].map(([index, title]) => ({ index, title }))
}

export function curvesOf(board: Board, words: Words): Bands {
  const { minutes } = board
  const currency = board.totals.sold.gmv.placed.currency
  const titles = new Map(board.products.map((product) => [product.product_id, product.title]))
  return {
    axis: { name: words.minute, unit: 'minute' },
    x: minutes.map((minute) => minute.at),
    pins: pinsOf(board, titles),
    bands: [
      { name: words.viewers, unit: 'count', curves: [{ name: words.viewers, ink: '--chart-viewers', values: minutes.map((minute) => minute.audience.viewers_max) }] },
      { name: words.watch, unit: 'seconds', curves: [{ name: words.watch, ink: '--chart-viewers', kind: 'bar', values: minutes.map((minute) => minute.audience.watch_s) }] },
      { name: words.orders, unit: 'count', curves: [{ name: words.orders, ink: '--source-private', kind: 'bar', values: minutes.map((minute) => minute.sold.orders) }] },
      {
        name: `${words.placed} / ${words.paid}`, unit: 'money', currency,
        curves: [
          { name: words.placed, ink: '--source-private', kind: 'bar', values: minutes.map((minute) => minute.sold.gmv.placed.amount) },
          { name: words.paid, ink: '--good', kind: 'bar', values: minutes.map((minute) => minute.sold.gmv.paid.amount) },
        ],
      },
      ...(words.chats ? [{ name: words.chats, unit: 'count' as const, curves: [{ name: words.chats, ink: '--chart-viewers', values: minutes.map((minute) => minute.audience.chats_sent) }] }] : []),
    ],
  }
}

export interface Step {
  key: 'came' | 'watched' | 'clicked' | 'ordered' | 'paid'
  count: number
  /** Of those who came. */
  share: number | null
}

export const STEPS = ['came', 'watched', 'clicked', 'ordered', 'paid'] as const

export function stepsOf(row: Record<Step['key'], number> | null): Step[] {
  return STEPS.map((key) => ({ key, count: row?.[key] ?? 0, share: row && row.came > 0 ? row[key] / row.came : null }))
}
