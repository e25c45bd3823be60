/** What the pages about payment providers ask: sellers' accounts, who may take whose money, what it costs. */
import { ask } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { hasWords, t } from '@/shared/i18n'
import type { Tone } from '../parts/tones'

export type Seller = components['schemas']['SellerView']
export type SellerStep = components['schemas']['SellerStep']
export type PayoutChannels = components['schemas']['PayoutChannels']
export type ProviderDesk = components['schemas']['ProviderDesk']

export const SELLER_TONES: Record<Seller['state'], Tone> = { asked: 'plain', pending: 'warn', ready: 'good', limited: 'bad', refused: 'bad' }

/** A shop's accounts, or with no shop one's own (a streamer's part). */
const pathOf = (shop: string | null) => (shop ? '/api/shops/{shop_id}/seller-accounts' : '/api/me/seller-accounts')
const partsOf = (shop: string | null) => (shop ? { path: { shop_id: shop } } : {})
export const listChannels = (shop: string | null) => ask<PayoutChannels>('get', pathOf(shop), partsOf(shop))
export const openSeller = (shop: string | null, provider: string, country: string) =>
  ask<SellerStep>('post', pathOf(shop), { ...partsOf(shop), body: { provider, country } })

export const getProviderDesk = () => ask<ProviderDesk>('get', '/api/payment-providers')
export const listSellers = (query: { after?: string | null }) => ask<Page<Seller>>('get', '/api/seller-accounts', { query })
export const checkSeller = (seller_id: string) => ask<Seller>('post', '/api/seller-accounts/{seller_id}/check', { path: { seller_id } })
export const markOwn = (shop_id: string, own: boolean) => ask<void>('put', '/api/shops/{shop_id}/self-operated', { path: { shop_id }, body: { own } })

export const providerName = (name: string) => (hasWords(`reconciliation.providers.${name}`) ? t(`reconciliation.providers.${name}`) : name)
