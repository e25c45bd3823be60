/** What a room looks like right now: the snapshot of the welcome, moved on by frames. */
import { reactive } from 'vue'
import type { Activity, CartItem, Show } from '../api/types'
import type { ChatLine, RoomFrame, RoomRules, WaitingText, WelcomeFrame, You } from './frames'

/** A line of the floating chat: someone's words, or a quiet notice. */
export type Line =
  | { kind: 'chat'; id: string; from: ChatLine['from']; text: string; at: string; state?: 'sending' | 'failed' | 'held' }
  | { kind: 'join'; id: string; name: string; n: number }
  | { kind: 'bought'; id: string; name: string; title: string; n: number }

export const LINES_MAX = 200

export interface RoomState {
  you: WelcomeFrame['you'] | null
  show: Show | null
  cart: CartItem[]
  /** By SKU the most pieces seen since the room was opened. */
  most: Record<string, number>
  lines: Line[]
  viewers: number
  likes: number
  rules: RoomRules
  /** What waits for review; only who keeps order hears of it. */
  waiting: WaitingText[]
  /** Red packets, draws, quizzes, polls, bargains and duels, in the order in which they came. */
  activities: Activity[]
}

export const NO_RULES: RoomRules = { slow_s: 0, fans_only: false, followed_min: 0, review_all: false }

export function newRoomState(): RoomState {
  return reactive({ you: null, show: null, cart: [], most: {}, lines: [], viewers: 0, likes: 0, rules: { ...NO_RULES }, waiting: [], activities: [] })
}

let notices = 0

/** Starts from a snapshot. The viewer's own lines that are still under way stay on the screen. */
export function welcome(room: RoomState, frame: WelcomeFrame): void {
  const known = new Set(frame.chat.map((line) => line.id))
  const own = room.lines.filter((line) => line.kind === 'chat' && (line.state === 'sending' || line.state === 'held') && !known.has(line.id))
  room.you = frame.you
  room.rules = frame.rules ?? { ...NO_RULES }
  room.show = frame.show
  room.cart = [...frame.cart].sort(byPosition)
  for (const item of room.cart) count(room, item)
  room.lines = [...frame.chat.map((line) => ({ kind: 'chat' as const, ...line })), ...own]
  room.viewers = frame.counts.viewers
  room.likes = frame.counts.likes
  // What ran and is not told of any more ended while the line was down.
  const running = new Set(frame.activities?.map((activity) => activity.id))
  room.activities = room.activities.filter((known) => (known.state !== 'open' && known.state !== 'closed') || running.has(known.id))
  for (const activity of frame.activities ?? []) play(room, activity)
  if (frame.show.pinned_item_id !== undefined) pin(room, frame.show.pinned_item_id)
}

export function advance(room: RoomState, frames: RoomFrame[]): void {
  for (const frame of frames) step(room, frame)
  if (room.lines.length > LINES_MAX) room.lines.splice(0, room.lines.length - LINES_MAX)
}

/** The viewer's own words, shown before the server has them. */
export function say(room: RoomState, line: { id: string; text: string; from: ChatLine['from'] }): void {
  room.lines.push({ kind: 'chat', at: new Date().toISOString(), state: 'sending', ...line })
}

/** The viewer's standing changed: muted, allowed again, a moderator now. */
export function stand(room: RoomState, you: You): void {
  room.you = you
}

/** A moderator looked at a held text: approved, it comes by itself as everybody's; refused, its sender is told so. */
export function reviewed(room: RoomState, id: string, approved: boolean): void {
  const line = room.lines.find((line) => line.id === id)
  if (line?.kind === 'chat' && line.state === 'held') line.state = approved ? undefined : 'failed'
}

export function waits(room: RoomState, text: WaitingText): void {
  if (!room.waiting.some((known) => known.id === text.id)) room.waiting.push(text)
}

export function decided(room: RoomState, id: string): void {
  room.waiting = room.waiting.filter((text) => text.id !== id)
}

export function mark(room: RoomState, id: string, state: 'failed' | 'held' | undefined): void {
  const line = room.lines.find((line) => line.id === id)
  if (line?.kind === 'chat') line.state = state
}

function step(room: RoomState, frame: RoomFrame): void {
  switch (frame.t) {
    case 'chat': {
      const { t: _, ...line } = frame
      const own = room.lines.find((known) => known.id === line.id)
      if (own?.kind === 'chat') Object.assign(own, line, { state: undefined })
      else room.lines.push({ kind: 'chat', ...line })
      break
    }
    case 'unsay':
      room.lines = room.lines.filter((line) => line.id !== frame.id)
      break
    case 'rules': {
      const { t: _, ...rules } = frame
      room.rules = rules
      break
    }
    case 'join': {
      // Arrivals in a row are one line, so that they never push words off the screen.
      const last = room.lines.at(-1)
      if (last?.kind === 'join') Object.assign(last, { name: frame.name, n: frame.n ?? 1 })
      else room.lines.push({ kind: 'join', id: `join-${++notices}`, name: frame.name, n: frame.n ?? 1 })
      break
    }
    case 'bought':
      room.lines.push({ kind: 'bought', id: `bought-${++notices}`, name: frame.name, title: frame.title, n: frame.n ?? 1 })
      break
    case 'counts':
      room.viewers = frame.viewers
      room.likes = Math.max(room.likes, frame.likes)
      break
    case 'stock':
      for (const item of room.cart) {
        for (const sku of item.skus) if (sku.sku_id === frame.sku) sku.available = frame.available
      }
      if (frame.sku in room.most) room.most[frame.sku] = Math.max(room.most[frame.sku]!, frame.available)
      break
    case 'item': {
      const { t: _, ...item } = frame
      const index = room.cart.findIndex((known) => known.id === item.id)
      if (index < 0) room.cart.push(item)
      else if (item.version >= room.cart[index]!.version) room.cart[index] = item
      room.cart.sort(byPosition)
      count(room, item)
      break
    }
    case 'gone':
      room.cart = room.cart.filter((item) => item.id !== frame.item)
      if (room.show?.pinned_item_id === frame.item) pin(room, null)
      break
    case 'pin':
      pin(room, frame.item)
      break
    case 'show':
      if (!room.show) break
      room.show.state = frame.state
      if (frame.title !== undefined) room.show.title = frame.title
      if (frame.cover !== undefined) room.show.cover = frame.cover
      if (frame.playback !== undefined) room.show.playback = frame.playback
      break
    case 'activity': {
      const { t: _, ...activity } = frame
      play(room, activity)
      break
    }
  }
}

/** Versions only grow: a snapshot that comes late changes nothing. */
export function play(room: RoomState, activity: Activity): void {
  const index = room.activities.findIndex((known) => known.id === activity.id)
  if (index < 0) room.activities.push(activity)
  else if (activity.version >= room.activities[index]!.version) room.activities[index] = activity
}

function count(room: RoomState, item: CartItem): void {
  for (const sku of item.skus) room.most[sku.sku_id] = Math.max(room.most[sku.sku_id] ?? 0, sku.available)
}

function pin(room: RoomState, item: string | null): void {
  if (room.show) room.show.pinned_item_id = item
  for (const known of room.cart) known.pinned = known.id === item
}

function byPosition(one: CartItem, other: CartItem): number {
  return one.position - other.position
}
