/** Days in the books' zone: from `since` to the day before `until`, and what they are compared with. Plain rules, no clock but what is given. */

export interface Period {
  since: string
  until: string
}

export const PRESETS = ['today', 'yesterday', 'd7', 'd30', 'd90', 'month', 'lastMonth', 'year'] as const
export type Preset = (typeof PRESETS)[number]
export const COMPARE = ['before', 'year', 'none'] as const
export type Compare = (typeof COMPARE)[number]

const DAY_MS = 86_400_000
const at = (day: string) => Date.parse(`${day}T00:00:00Z`)
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10)

export const addDays = (day: string, days: number) => dayOf(at(day) + days * DAY_MS)
export const daysOf = ({ since, until }: Period) => Math.round((at(until) - at(since)) / DAY_MS)
export const lastDayOf = ({ until }: Period) => addDays(until, -1)

/** Today in a zone. */
export function todayIn(zone: string, now: Date = new Date()): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(now)
}

export function preset(name: Preset, today: string): Period {
  const tomorrow = addDays(today, 1)
  switch (name) {
    case 'today':
      return { since: today, until: tomorrow }
    case 'yesterday':
      return { since: addDays(today, -1), until: today }
    case 'd7':
    case 'd30':
    case 'd90':
      return { since: addDays(tomorrow, -Number(name.slice(1))), until: tomorrow }
    case 'month':
      return { since: `${today.slice(0, 7)}-01`, until: tomorrow }
    case 'lastMonth': {
      const until = `${today.slice(0, 7)}-01`
      return { since: `${addDays(until, -1).slice(0, 7)}-01`, until }
    }
    case 'year':
      return { since: `${today.slice(0, 4)}-01-01`, until: tomorrow }
  }
}

/** Which preset these days are, if any. */
export const presetOf = (period: Period, today: string): Preset | null =>
  PRESETS.find((name) => preset(name, today).since === period.since && preset(name, today).until === period.until) ?? null

/** As many days right before; or the same days a year ago (29 February becomes the 28th). */
export function compared(period: Period, how: Compare): Period | null {
  if (how === 'none') return null
  if (how === 'before') return { since: addDays(period.since, -daysOf(period)), until: period.since }
  return { since: yearBefore(period.since), until: addDays(yearBefore(lastDayOf(period)), 1) }
}

function yearBefore(day: string): string {
  const year = `${Number(day.slice(0, 4)) - 1}${day.slice(4)}`
  return dayOf(at(year)) === year ? year : `${year.slice(0, 8)}28`
}

/** Every day of a period. */
export function listDays(period: Period): string[] {
  return Array.from({ length: Math.max(0, daysOf(period)) }, (_, index) => addDays(period.since, index))
}

export const isDay = (text: unknown): text is string => typeof text === 'string' && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(at(text)) && dayOf(at(text)) === text
