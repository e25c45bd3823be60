/**
 * The show minute by minute: viewers (the highest seen) and orders, with the pins where they happened. Read from the
 * board, then carried on by the frames that pass the desk until the board is read again; kept for the tab meanwhile.
 */
import type { Board } from '../board/board'

export interface Minute { at: number; viewers: number | null; orders: number; amount: number }
export interface PinMark { at: number; title: string }
export interface Curve { minutes: Minute[]; pins: PinMark[] }

export const MINUTE_MS = 60_000
/** Nine hours and a bit. */
export const MINUTES_MAX = 600
const PINS_MAX = 200

export function newCurve(): Curve {
  return { minutes: [], pins: [] }
}

/** The line as the server counted it, from the show's first minute. */
export function curveOf(board: Board): Curve {
  const titles = new Map(board.products.map((product) => [product.product_id, product.title]))
  return {
    minutes: board.minutes.map(({ at, audience, sold }) => ({ at: Date.parse(at), viewers: audience.viewers_max, orders: sold.orders, amount: sold.gmv.placed.amount })).slice(-MINUTES_MAX),
    pins: board.marks.map((mark) => ({ at: Date.parse(mark.begins_at), title: titles.get(mark.product_id) ?? '' })).slice(-PINS_MAX),
  }
}

export function sawViewers(curve: Curve, at: number, viewers: number): Curve {
  return touch(curve, at, (minute) => ({ ...minute, viewers: Math.max(minute.viewers ?? 0, viewers) }))
}

export function sawOrder(curve: Curve, at: number, amount: number): Curve {
  return touch(curve, at, (minute) => ({ ...minute, orders: minute.orders + 1, amount: minute.amount + amount }))
}

export function sawPin(curve: Curve, at: number, title: string): Curve {
  const last = curve.pins.at(-1)
  if (last && last.title === title && at - last.at < MINUTE_MS) return curve
  return { ...curve, pins: [...curve.pins, { at, title }].slice(-PINS_MAX) }
}

/**
 * Every minute from the first to the last, without holes: a silent minute keeps the viewers before it and has no
 * orders. At least `least` minutes wide, so that the first minutes are not a wall.
 */
export function series(curve: Curve, now: number, least = 10): Minute[] {
  const end = floor(now)
  const first = curve.minutes[0]?.at ?? end
  const start = Math.max(Math.min(first, end - (least - 1) * MINUTE_MS), end - (MINUTES_MAX - 1) * MINUTE_MS)
  const known = new Map(curve.minutes.map((minute) => [minute.at, minute]))
  const line: Minute[] = []
  let viewers: number | null = null
  for (let at = start; at <= end; at += MINUTE_MS) {
    const minute: Minute = known.get(at) ?? { at, viewers: null, orders: 0, amount: 0 }
    viewers = minute.viewers ?? viewers
    line.push({ ...minute, viewers })
  }
  return line
}

/** The pins that fall into the line, each at its minute; of several in one minute the last. */
export function marks(curve: Curve, line: Minute[]): { index: number; title: string }[] {
  const start = line[0]?.at
  if (start === undefined) return []
  const byMinute = new Map<number, string>()
  for (const pin of curve.pins) {
    const index = Math.round((floor(pin.at) - start) / MINUTE_MS)
    if (index >= 0 && index < line.length) byMinute.set(index, pin.title)
  }
  return [...byMinute].map(([index, title]) => ({ index, title }))
}

export function keepCurve(show: string, curve: Curve, store: Storage = sessionStorage): void {
  try {
    store.setItem(`laotie.curve.${show}`, JSON.stringify(curve))
  } catch {
    // A full store costs the line after a reload, nothing else.
  }
}

export function recallCurve(show: string, store: Storage = sessionStorage): Curve {
  try {
    const kept = JSON.parse(store.getItem(`laotie.curve.${show}`) ?? 'null') as Curve | null
    return kept?.minutes && kept.pins ? kept : newCurve()
  } catch {
    return newCurve()
  }
}

function touch(curve: Curve, at: number, change: (minute: Minute) => Minute): Curve {
  const minuteAt = floor(at)
  const index = curve.minutes.findIndex((minute) => minute.at === minuteAt)
  if (index >= 0) {
    const minutes = [...curve.minutes]
    minutes[index] = change(minutes[index]!)
    return { ...curve, minutes }
  }
  const minutes = [...curve.minutes, change({ at: minuteAt, viewers: null, orders: 0, amount: 0 })]
    .sort((one, other) => one.at - other.at)
    .slice(-MINUTES_MAX)
  return { ...curve, minutes }
}

function floor(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS
}
