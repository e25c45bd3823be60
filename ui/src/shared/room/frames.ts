/** The frames of the room's socket (docs/protocol.md), as records. */
import type { CartItem, Money, OrderState, Show, ShowState } from '../api/types'

export interface ChatLine { id: string; from: { id: string; name: string; level?: number }; text: string; at: string }

// server → client, versioned and batched
export type RoomFrame =
  | ({ t: 'chat' } & ChatLine)
  | { t: 'join'; name: string; n?: number }
  | { t: 'bought'; name: string; title: string; n?: number }
  | { t: 'counts'; viewers: number; likes: number }
  | { t: 'stock'; sku: string; available: number }
  | ({ t: 'item' } & CartItem)
  | { t: 'gone'; item: string }
  | { t: 'pin'; item: string | null; at?: string }
  | { t: 'show'; state: ShowState; title?: string; cover?: string | null; playback?: Show['playback'] }

export interface BatchFrame { t: 'batch'; v: number; from: number; f: RoomFrame[] }

export interface WelcomeFrame {
  t: 'welcome'; v: number
  you: { viewer_id: string; name: string | null; guest?: boolean; staff?: boolean; follows?: boolean; muted?: boolean }
  show: Show; cart: CartItem[]; chat: ChatLine[]; counts: { viewers: number; likes: number }; beat_s: number
}

export interface OrderBrief { id: string; state: OrderState; total: Money; pay_by: string | null }

// server → client, personal, at once
export type PersonalFrame =
  | { t: 'order'; re: string; order: OrderBrief }
  | { t: 'refused'; re: string | null; code: string; title?: string; [fact: string]: unknown }
  | { t: 'paid'; order: string }
  | { t: 'order_state'; order: string; state: OrderState }
  | { t: 'sent'; re: string }
  | { t: 'sale'; order: Record<string, unknown> }
  | { t: 'sales_more'; n: number }
  | { t: 'sale_paid'; order: string }

export interface ByeFrame { t: 'bye'; code: string; reason?: string }

/** A beat was heard: the line lives. */
export interface BeatFrame { t: 'beat' }

export type ServerFrame = WelcomeFrame | BatchFrame | PersonalFrame | BeatFrame | ByeFrame

// client → server
export interface BuyLine { sku: string; item: string | null; qty: number; price: number }
