/** A show's board: read whole once, then only what is new, every two seconds while it is on and looked at. */
import { onScopeDispose, shallowRef } from 'vue'
import type { components } from '@/shared/api/schema'
import { call } from '@/shared/api/ask'

type Schemas = components['schemas']
export type Board = Schemas['BoardView']
export type BoardMinute = Schemas['BoardMinute']
export type BoardMark = Schemas['BoardMark']
export type BoardProduct = Schemas['BoardProduct']

/** A payment arrives in its own minute, so only the last ones still change. */
const CHANGING_MS = 3 * 60_000
export const ASK_EVERY_MS = 2_000

export const readBoard = (show_id: string, since?: string) => call('get', '/api/shows/{show_id}/board', { path: { show_id }, query: { since } })

/** The board after an answer to "since": its minutes take the place of those they name, everything else is new. */
export function merge(board: Board | null, answer: Board): Board {
  const first = answer.minutes[0]?.at
  if (!board || !first) return board && !answer.minutes.length ? { ...answer, minutes: board.minutes } : answer
  return { ...answer, minutes: [...board.minutes.filter((minute) => minute.at < first), ...answer.minutes] }
}

/** What to ask for next: the minutes that may have changed since. */
export function since(board: Board | null): string | undefined {
  return board ? new Date(Date.parse(board.at) - CHANGING_MS).toISOString() : undefined
}

export function useBoard(show: string, isLive: () => boolean) {
  const board = shallowRef<Board | null>(null)
  const error = shallowRef<unknown>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  let gone = false

  async function ask(): Promise<void> {
    try {
      if (document.visibilityState === 'visible' || !board.value) board.value = merge(board.value, await readBoard(show, since(board.value)))
      error.value = null
    } catch (cause) {
      error.value = cause
    }
    if (!gone && (isLive() || !board.value)) timer = setTimeout(() => void ask(), ASK_EVERY_MS)
  }

  onScopeDispose(() => {
    gone = true
    clearTimeout(timer)
  })
  return { board, error, open: ask }
}
