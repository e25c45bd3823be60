/** The records of the HTTP API by the names the pages use; all of them come from `openapi.json` (npm run generate). */
import type { components } from './schema'

type Schemas = components['schemas']

export interface Page<T> { items: T[]; next?: string | null }
export type Money = Schemas['Money']
export type Options = Record<string, string>

// identity
export type Me = Schemas['Me']
export type Account = Schemas['OwnAccount']
export type Seat = Schemas['SeatView']
export type Session = Schemas['SessionView']
export type Address = Schemas['Address']

// catalog
export type Store = Schemas['Store']
export type Shop = Schemas['ShopView']
export type Sku = Schemas['SkuView']
export type Product = Schemas['ProductView']

// search
export type ShelfHit = Schemas['ShelfHit']
export type ShelfFacets = Schemas['ShelfFacets']
export interface ShelfAsk {
  q?: string; category?: string; shop_id?: string; brand_id?: string; currency?: string; price_min?: number; price_max?: number
  in_stock?: boolean; guaranteed?: boolean; live?: boolean
}

// live
export type ShowState = Schemas['ShowState']
export type Person = Schemas['Person']
export type Show = Schemas['Show']
export type ShowCard = Schemas['ShowCard']
export type CartItem = Schemas['CartItem']
export type CartSku = Schemas['CartSku']
export type Promised = Schemas['Promise']
export type Wave = Schemas['Wave']
export type Streamer = Schemas['StreamerView']
export type Ticket = Schemas['TicketView']
export type ShareLink = Schemas['ShareLink']

// messages
export type Notice = Schemas['Notice']
export type NoticeWishes = Schemas['Preference']

// traffic
export type Followed = Schemas['Followed']

// videos
export type Video = Schemas['Video']
export type VideoSlot = Schemas['VideoSlot']
export type VideoComment = Schemas['Comment']

// orders and payments
export type OrderState = Schemas['OrderState']
export type Order = Schemas['OrderView']
export type OrderLine = Schemas['LineView']
export type OrderAsk = Schemas['NewOrder']
export type OrderAskLine = Schemas['NewLine']
export type Payment = Schemas['PaymentView']
export type SandboxPayment = Schemas['SandboxPaymentView']
export type SandboxAccount = Schemas['SandboxAccountView']
export type SandboxJudgement = Schemas['SandboxJudgement']
export type SandboxDecision = Schemas['SandboxDecision']
export type SandboxDisputeAsk = Schemas['NewSandboxDispute']
export type PaymentMethod = Schemas['PaymentMethod']

// the basket and group buys
export type Quote = Schemas['QuoteView']
export type QuoteAsk = Schemas['NewQuote']
export type QuotedLine = Schemas['QuotedLineView']
export type JudgedCoupon = Schemas['JudgedCoupon']
export type Coupon = Schemas['CouponView']
export type CouponCard = Schemas['CouponCard']
export type CouponClaim = Schemas['CouponClaimView']
export type CouponFigures = Schemas['CouponFigures']
export type BasketLine = Schemas['BasketLine']
export type GroupOffer = Schemas['GroupView']
export type GroupSku = Schemas['GroupSku']
export type Team = Schemas['TeamView']
export type TeamBrief = Schemas['TeamBrief']
export type TeamMember = Schemas['Member']

// invoices
export type Invoice = Schemas['InvoiceView']
export type OrderInvoices = Schemas['OrderInvoices']
export type InvoiceRecipient = Schemas['Recipient']

// replays and clips
export type Replay = Schemas['ReplayView']
export type ReplayMark = Schemas['ReplayMark']
export type ReplayCard = Schemas['ReplayCard']
export type Said = Schemas['SaidView']
export type Clip = Schemas['ClipView']
export type ClipPage = Schemas['ClipPage']
export type Recording = Schemas['RecordingView']
export type SurfaceSales = Schemas['SurfaceSalesView']

// fun
export type ActivityKind = Schemas['Kind']
export type ActivityState = Schemas['State']
export type Activity = Schemas['Activity']
export type ActivityView = Schemas['ActivityView']
export type ActivityDraft = Schemas['Draft']
export type ActivityTemplate = Schemas['Template']
export type ActivityLine = Schemas['Line']
export type Part = Schemas['Mine']
export type Entered = Schemas['Entered']
export type Helped = Schemas['Helped']
export type Bargain = Schemas['Bargain']
export type Grant = Schemas['Grant']
export type DrawWinner = Schemas['Winner']
export type Wallet = Schemas['WalletView']
export type WalletMove = Wallet['movements'][number]
export type BookPromise = Schemas['BookPromiseView']
export type BookDay = Schemas['StatusDayView']
