/** The endpoints the phone page uses, one function each: the only place that spells their paths. */
import { call } from './ask'
import type { Address, OrderAsk, OrderState } from './types'

// identity
export const changeMe = (change: { name?: string; about?: string; locale?: string }) => call('patch', '/api/me', { body: change })
export const listSessions = () => call('get', '/api/sessions')
export const endSession = (session_id: string) => call('delete', '/api/sessions/{session_id}', { path: { session_id } })
export const exportMe = () => call('get', '/api/me/export')
export const eraseMe = (password: string) => call('post', '/api/me/erasure', { body: { password } })
export const listAddresses = () => call('get', '/api/me/addresses')
export const addAddress = (address: Address) => call('post', '/api/me/addresses', { body: address })
export const changeAddress = ({ id: address_id, ...address }: Address) =>
  call('put', '/api/me/addresses/{address_id}', { path: { address_id }, body: address })
export const removeAddress = (address_id: string) => call('delete', '/api/me/addresses/{address_id}', { path: { address_id } })

// catalog
export const getShop = (shop_id: string) => call('get', '/api/shops/{shop_id}', { path: { shop_id } })
export const getProduct = (product_id: string) => call('get', '/api/products/{product_id}', { path: { product_id } })
export const listCategories = () => call('get', '/api/categories')
export const searchProducts = (query: { q?: string; category?: string; shop_id?: string; after?: string }) => call('get', '/api/products', { query })

// live
export const getShow = (show_id: string) => call('get', '/api/shows/{show_id}', { path: { show_id } })
export const getStreamer = (streamer_id: string) => call('get', '/api/streamers/{streamer_id}', { path: { streamer_id } })
export const getCart = (show_id: string) => call('get', '/api/shows/{show_id}/cart', { path: { show_id } })
export const getTicket = (show_id: string, entry: string | null) =>
  call('post', '/api/shows/{show_id}/tickets', { path: { show_id }, body: { entry } })
export const shareShow = (show_id: string) => call('post', '/api/shows/{show_id}/share-links', { path: { show_id }, body: {} })

// fans and traffic
export const follow = (streamer_id: string, visit?: string | null) =>
  call('put', '/api/follows/{streamer_id}', { path: { streamer_id }, body: { visit: visit ?? null } })
export const unfollow = (streamer_id: string) => call('delete', '/api/follows/{streamer_id}', { path: { streamer_id } })
export const getFollowing = () => call('get', '/api/feed/following')
export const getDiscover = (after?: string) => call('get', '/api/feed/discover', { query: { after } })

// orders and payments
export const placeOrder = (order: OrderAsk) => call('post', '/api/orders', { body: order })
export const listOrders = (query: { state?: OrderState; after?: string }) => call('get', '/api/orders', { query })
export const getOrder = (order_id: string) => call('get', '/api/orders/{order_id}', { path: { order_id } })
export const sendOrderTo = (order_id: string, address_id: string) =>
  call('put', '/api/orders/{order_id}/address', { path: { order_id }, body: { address_id } })
export const cancelOrder = (order_id: string) => call('post', '/api/orders/{order_id}/cancellation', { path: { order_id }, body: {} })
export const payOrder = (order_id: string, payment: string) =>
  call('post', '/api/orders/{order_id}/payments', { path: { order_id }, body: { id: payment, method: 'sandbox' } })
export const getSandboxPayment = (payment_id: string) => call('get', '/api/sandbox/payments/{payment_id}', { path: { payment_id } })
export const decideSandboxPayment = (payment_id: string, outcome: 'approve' | 'decline') =>
  call('post', '/api/sandbox/payments/{payment_id}/outcome', { path: { payment_id }, body: { outcome } })
