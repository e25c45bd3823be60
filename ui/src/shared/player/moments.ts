/** Instants of a show and positions on its recording, one from the other; what is missing has no position of its own. */

export interface Span { from_s: number; to_s: number; begins_at: string }

/** Where an instant lies. In a gap it is where the recording goes on; `kept` says which. */
export function positionOf(spans: Span[], instant: string): { at: number; kept: boolean } {
  const at = Date.parse(instant)
  for (const span of spans) {
    const inside = (at - Date.parse(span.begins_at)) / 1000
    if (inside < 0) return { at: span.from_s, kept: false }
    if (inside < span.to_s - span.from_s) return { at: span.from_s + inside, kept: true }
  }
  return { at: spans.at(-1)?.to_s ?? 0, kept: false }
}

/** When what is shown at a position happened. */
export function instantOf(spans: Span[], at: number): Date | null {
  const span = [...spans].reverse().find((span) => span.from_s <= at)
  return span ? new Date(Date.parse(span.begins_at) + (at - span.from_s) * 1000) : null
}

/** 4:09 · 1:04:09 */
export function formatPosition(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const two = (value: number) => String(value).padStart(2, '0')
  const minutes = Math.floor(whole / 60)
  return minutes >= 60 ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

export interface Stretch { from_s: number; to_s: number | null }

/** The last stretch that holds this position. */
export function stretchAt<T extends Stretch>(stretches: T[], at: number): T | null {
  return [...stretches].reverse().find((one) => one.from_s <= at && at < (one.to_s ?? Infinity)) ?? null
}
