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

// live
export type ShowState = Schemas['ShowState']
export type Person = Schemas['Person']
export type Show = Schemas['Show']
export type ShowCard = Schemas['ShowCard']
export type CartItem = Schemas['CartItem']
export type CartSku = Schemas['CartSku']
export type Streamer = Schemas['StreamerView']
export type Ticket = Schemas['TicketView']
export type ShareLink = Schemas['ShareLink']

// traffic
export type Followed = Schemas['Followed']

// orders and payments
export type OrderState = Schemas['OrderState']
export type Order = Schemas['OrderView']
export type OrderLine = Schemas['LineView']
export type OrderAsk = Schemas['NewOrder']
export type OrderAskLine = Schemas['NewLine']
export type Payment = Schemas['PaymentView']
export type SandboxPayment = Schemas['SandboxPaymentView']
