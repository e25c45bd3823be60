/** The frames of the room's socket (docs/protocol.md), as records. */
import type { Activity, Bargain, CartItem, Money, OrderState, Show, ShowState } from '../api/types'

export interface ChatLine { id: string; from: { id: string; name: string; level?: number }; text: string; at: string }

// server → client, versioned and batched
export type RoomFrame =
  | ({ t: 'chat' } & ChatLine)
  | { t: 'unsay'; id: string }
  | ({ t: 'rules' } & RoomRules)
  | { t: 'join'; name: string; n?: number }
  | { t: 'bought'; name: string; title: string; n?: number }
  | { t: 'counts'; viewers: number; likes: number }
  | { t: 'stock'; sku: string; available: number }
  | ({ t: 'item' } & CartItem)
  | { t: 'gone'; item: string }
  | { t: 'pin'; item: string | null; at?: string }
  | { t: 'show'; state: ShowState; title?: string; cover?: string | null; playback?: Show['playback'] }
  | ({ t: 'activity' } & Activity)

/** What the room asks of who wants to speak. */
export interface RoomRules { slow_s: number; fans_only: boolean; followed_min: number; review_all: boolean }
export type Right = 'delete' | 'mute' | 'kick' | 'ban' | 'rules'
/** What the viewer may do in this room now. */
export interface You {
  viewer_id: string; name: string | null; guest?: boolean; staff?: boolean; follows?: boolean
  muted?: boolean; muted_until?: string | null; mute_reason?: string; followed_at?: string | null; rights?: Right[]
}
/** A text that waits for a moderator, and why. */
export interface WaitingText { id: string; from: { id: string; name: string }; text: string; why: string; at: string }

export interface BatchFrame { t: 'batch'; v: number; from: number; f: RoomFrame[] }

export interface WelcomeFrame {
  t: 'welcome'; v: number
  you: You; rules?: RoomRules
  show: Show; cart: CartItem[]; chat: ChatLine[]; counts: { viewers: number; likes: number }; beat_s: number
  /** What is played: open, being drawn, and what has just been decided. */
  activities?: Activity[]
}

export interface OrderBrief { id: string; state: OrderState; total: Money; pay_by: string | null }

// server → client, personal, at once
export type PersonalFrame =
  | { t: 'order'; re: string; order: OrderBrief }
  | { t: 'refused'; re: string | null; code: string; title?: string; [fact: string]: unknown }
  | { t: 'paid'; order: string }
  | { t: 'order_state'; order: string; state: OrderState }
  | { t: 'sent'; re: string }
  | { t: 'held'; re: string }
  | { t: 'reviewed'; re: string; approved: boolean }
  | { t: 'standing'; you: You }
  | { t: 'waiting'; saying: WaitingText }
  | { t: 'decided'; id: string; approved: boolean }
  | { t: 'sale'; order: Record<string, unknown> }
  | { t: 'sales_more'; n: number }
  | { t: 'sale_paid'; order: string }
  | { t: 'ingest_refused'; door: string; code: string; key: string; address: string; at: string }
  | { t: 'entered'; re: string; no: number; head: string; choice: number | null; amount: Money | null; again: boolean }
  | { t: 'helped'; re: string; no: number; head: string; cut: Money; price: Money | null }
  | { t: 'won'; activity: string; prize: string | null; amount: Money | null }
  | ({ t: 'bargain' } & Bargain)
  | NoticeFrame

/** Something one was told; the page has the words for its kind. */
export interface NoticeFrame { t: 'notice'; id: string; kind: string; facts: Record<string, unknown>; link: string; at: string }

export interface ByeFrame { t: 'bye'; code: string; reason?: string; until?: string | null }

/** A beat was heard: the line lives. */
export interface BeatFrame { t: 'beat' }

export type ServerFrame = WelcomeFrame | BatchFrame | PersonalFrame | BeatFrame | ByeFrame

// client → server
export interface BuyLine { sku: string; item: string | null; qty: number; price: number }
