/** The endpoints the phone page uses, one function each: the only place that spells their paths. */
import { call } from './ask'
import type { ActivityDraft, Address, InvoiceRecipient, Money, NoticeWishes, OrderAsk, OrderState, QuoteAsk, SandboxDecision, SandboxDisputeAsk, SandboxJudgement, ShelfAsk } from './types'

// identity
export const changeMe = (change: { name?: string; avatar?: string; about?: string; locale?: string }) => call('patch', '/api/me', { body: change })
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
export const getProvenance = (product_id: string) => call('get', '/api/products/{product_id}/provenance', { path: { product_id } })
export const getOrderProvenance = (order_id: string) => call('get', '/api/orders/{order_id}/provenance', { path: { order_id } })
export const searchShelf = (query: ShelfAsk & { sort?: 'relevance' | 'sales' | 'price_up' | 'price_down' | 'newest'; after?: string }) => call('get', '/api/search', { query })
export const countShelf = (query: ShelfAsk) => call('get', '/api/search/facets', { query })
export const suggestSearches = (q: string) => call('get', '/api/search/suggestions', { query: { q } })
export const visitProduct = (product_id: string, from: { entry?: string | null; visit?: string | null }) =>
  call('post', '/api/products/{product_id}/visits', { path: { product_id }, body: from })
export const searchProducts = (query: { q?: string; category?: string; shop_id?: string; after?: string }) => call('get', '/api/products', { query })

// live
export const getShow = (show_id: string) => call('get', '/api/shows/{show_id}', { path: { show_id } })
export const getStreamer = (streamer_id: string) => call('get', '/api/streamers/{streamer_id}', { path: { streamer_id } })
export const getCart = (show_id: string) => call('get', '/api/shows/{show_id}/cart', { path: { show_id } })
/** `visit`: the one that this page has already (it goes on), or that one comes from. */
export const getTicket = (show_id: string, from: { entry?: string | null; visit?: string | null }) =>
  call('post', '/api/shows/{show_id}/tickets', { path: { show_id }, body: from })
export const shareShow = (show_id: string) => call('post', '/api/shows/{show_id}/share-links', { path: { show_id }, body: {} })

// fans and traffic
export const follow = (streamer_id: string, visit?: string | null) =>
  call('put', '/api/follows/{streamer_id}', { path: { streamer_id }, body: { visit: visit ?? null } })
export const unfollow = (streamer_id: string) => call('delete', '/api/follows/{streamer_id}', { path: { streamer_id } })
export const getFollowing = () => call('get', '/api/feed/following')
export const getDiscover = (after?: string) => call('get', '/api/feed/discover', { query: { after } })

export const setReminder = (show_id: string) => call('put', '/api/shows/{show_id}/reminder', { path: { show_id } })
export const removeReminder = (show_id: string) => call('delete', '/api/shows/{show_id}/reminder', { path: { show_id } })
export const listReminders = () => call('get', '/api/me/reminders')
export const listFollows = () => call('get', '/api/me/follows')
export const changeFollow = (streamer_id: string, notify: boolean) =>
  call('patch', '/api/follows/{streamer_id}', { path: { streamer_id }, body: { notify } })

// messages
export const getNotices = (after?: string) => call('get', '/api/me/notices', { query: { after } })
export const countUnreadNotices = () => call('get', '/api/me/notices/unread')
export const markNoticesRead = (up_to: string) => call('put', '/api/me/notices/read-mark', { body: { up_to } })
export const openNotice = (notice_id: string) => call('post', '/api/me/notices/{notice_id}/opening', { path: { notice_id } })
export const getNoticeWishes = () => call('get', '/api/me/notice-preferences')
export const putNoticeWishes = (wishes: NoticeWishes) => call('put', '/api/me/notice-preferences', { body: wishes })
export const getPushKey = () => call('get', '/api/push-key')
export const addPushDevice = (subscription: { endpoint: string; keys: { p256dh: string; auth: string } }) =>
  call('post', '/api/me/push-devices', { body: subscription })
export const removePushDevice = (device_id: string) => call('delete', '/api/me/push-devices/{device_id}', { path: { device_id } })

// coupons
export const listCoupons = (query: { show_id?: string; shop_id?: string; product_id?: string }) => call('get', '/api/coupons', { query })
export const claimCoupon = (coupon_id: string, id: string) => call('post', '/api/coupons/{coupon_id}/claims', { path: { coupon_id }, body: { id } })
export const listMyCoupons = (state: 'usable' | 'used' | 'over', after?: string) => call('get', '/api/me/coupons', { query: { state, after } })
export const listOrderCoupons = (order_id: string) => call('get', '/api/orders/{order_id}/coupons', { path: { order_id } })

// videos
export const getVideoFeed = (after?: string) => call('get', '/api/feed/videos', { query: { after } })
export const getVideo = (video_id: string) => call('get', '/api/videos/{video_id}', { path: { video_id } })
export const listStreamerVideos = (streamer_id: string, after?: string) =>
  call('get', '/api/streamers/{streamer_id}/videos', { path: { streamer_id }, query: { after } })
export const visitVideo = (video_id: string, from: { entry?: string | null; visit?: string | null }) =>
  call('post', '/api/videos/{video_id}/visits', { path: { video_id }, body: from })
export const shareVideo = (video_id: string) => call('post', '/api/videos/{video_id}/share-links', { path: { video_id } })
export const acknowledgePlay = (video_id: string, play_id: string, watched_ms: number, visit: string | null) =>
  call('put', '/api/videos/{video_id}/plays/{play_id}', { path: { video_id, play_id }, body: { watched_ms, visit } })
export const beatPlay = (play_id: string, body: { visit: string; beat: string | null; shown_ms: number }) =>
  call('put', '/api/plays/{play_id}', { path: { play_id }, body })
export const likeVideo = (video_id: string, liked: boolean) =>
  call(liked ? 'put' : 'delete', '/api/videos/{video_id}/like', { path: { video_id } })
export const listVideoComments = (video_id: string, after?: string) =>
  call('get', '/api/videos/{video_id}/comments', { path: { video_id }, query: { after } })
export const listCommentAnswers = (comment_id: string, after?: string) =>
  call('get', '/api/video-comments/{comment_id}/answers', { path: { comment_id }, query: { after } })
export const addVideoComment = (video_id: string, comment: { id: string; text: string; parent_id?: string | null }) =>
  call('post', '/api/videos/{video_id}/comments', { path: { video_id }, body: comment })
export const removeVideoComment = (comment_id: string) => call('delete', '/api/video-comments/{comment_id}', { path: { comment_id } })
export const approveVideoComment = (comment_id: string) =>
  call('post', '/api/video-comments/{comment_id}/approval', { path: { comment_id } })
export const likeVideoComment = (comment_id: string, liked: boolean) =>
  call(liked ? 'put' : 'delete', '/api/video-comments/{comment_id}/like', { path: { comment_id } })

// orders and payments
export const placeOrder = (order: OrderAsk) => call('post', '/api/orders', { body: order })
export const listOrders = (query: { state?: OrderState; after?: string }) => call('get', '/api/orders', { query })
export const getOrder = (order_id: string) => call('get', '/api/orders/{order_id}', { path: { order_id } })
export const sendOrderTo = (order_id: string, address_id: string) =>
  call('put', '/api/orders/{order_id}/address', { path: { order_id }, body: { address_id } })
export const getInvoice = (order_id: string) => call('get', '/api/orders/{order_id}/invoice', { path: { order_id } })
export const putInvoice = (order_id: string, recipient: InvoiceRecipient) =>
  call('put', '/api/orders/{order_id}/invoice', { path: { order_id }, body: recipient })
export const getPriceProtection = (order_id: string) => call('get', '/api/orders/{order_id}/price-protection', { path: { order_id } })
export const askPriceProtection = (order_id: string) =>
  call('post', '/api/orders/{order_id}/price-protection', { path: { order_id }, body: {} })
export const cancelOrder = (order_id: string) => call('post', '/api/orders/{order_id}/cancellation', { path: { order_id }, body: {} })
export const payOrder = (order_id: string, payment: string, method: string) =>
  call('post', '/api/orders/{order_id}/payments', { path: { order_id }, body: { id: payment, method } })
export const listPaymentMethods = (query: { shop_id?: string[]; wallet?: boolean }) => call('get', '/api/payment-methods', { query })
export const getPayment = (payment_id: string) => call('get', '/api/payments/{payment_id}', { path: { payment_id } })
export const getSandboxPayment = (payment_id: string) => call('get', '/api/sandbox/payments/{payment_id}', { path: { payment_id } })
export const getSandboxAccount = (account_id: string) => call('get', '/api/sandbox/accounts/{account_id}', { path: { account_id } })
export const judgeSandboxAccount = (account_id: string, judgement: SandboxJudgement) =>
  call('post', '/api/sandbox/accounts/{account_id}/judgement', { path: { account_id }, body: judgement })
export const decideSandboxPayment = (payment_id: string, decision: SandboxDecision) =>
  call('post', '/api/sandbox/payments/{payment_id}/outcome', { path: { payment_id }, body: decision })
export const enterSandboxCode = (payment_id: string, code: string) =>
  call('post', '/api/sandbox/payments/{payment_id}/code', { path: { payment_id }, body: { code } })
export const openSandboxDispute = (payment_id: string, dispute: SandboxDisputeAsk) =>
  call('post', '/api/sandbox/payments/{payment_id}/disputes', { path: { payment_id }, body: dispute })
export const decideSandboxDispute = (dispute_id: string, won: boolean) =>
  call('post', '/api/sandbox/disputes/{dispute_id}/decision', { path: { dispute_id }, body: { won } })

// the basket and group buys
export const getQuote = (wanted: QuoteAsk) => call('post', '/api/quotes', { body: wanted })
export const getBasket = () => call('get', '/api/basket')
export const putBasketLine = (sku_id: string, line: { quantity: number; show_id?: string; cart_item_id?: string }) =>
  call('put', '/api/basket/lines/{sku_id}', { path: { sku_id }, body: line })
export const takeOutOfBasket = (sku_ids: string[]) => call('post', '/api/basket/removals', { body: { sku_ids } })
export const getProductGroups = (product_id: string) => call('get', '/api/products/{product_id}/groups', { path: { product_id } })
export const openTeam = (id: string, offer_id: string) => call('post', '/api/teams', { body: { id, offer_id } })
export const getTeam = (team_id: string) => call('get', '/api/teams/{team_id}', { path: { team_id } })
export const getOrderTeam = (order_id: string) => call('get', '/api/orders/{order_id}/team', { path: { order_id } })

// replays and clips
type Arrival = { entry?: string | null; visit?: string | null }
export const getReplay = (show_id: string) => call('get', '/api/shows/{show_id}/replay', { path: { show_id } })
export const getReplayChat = (show_id: string, from_s: number, to_s: number) =>
  call('get', '/api/shows/{show_id}/replay/chat', { path: { show_id }, query: { from_s, to_s } })
export const listReplays = (streamer_id: string) => call('get', '/api/streamers/{streamer_id}/replays', { path: { streamer_id } })
export const visitReplay = (show_id: string, from: Arrival) =>
  call('post', '/api/shows/{show_id}/replay/visits', { path: { show_id }, body: from })
export const shareReplay = (show_id: string, at_s: number) =>
  call('post', '/api/shows/{show_id}/replay/share-links', { path: { show_id }, body: { at_s } })
export const listShowClips = (show_id: string) => call('get', '/api/shows/{show_id}/clips', { path: { show_id } })
export const listProductClips = (product_id: string) => call('get', '/api/products/{product_id}/clips', { path: { product_id } })
export const getClip = (clip_id: string) => call('get', '/api/clips/{clip_id}', { path: { clip_id } })
export const visitClip = (clip_id: string, from: Arrival) => call('post', '/api/clips/{clip_id}/visits', { path: { clip_id }, body: from })
export const shareClip = (clip_id: string) => call('post', '/api/clips/{clip_id}/share-links', { path: { clip_id } })

// fun
export const listActivities = (show_id: string, query: { after?: string; limit?: number } = {}) =>
  call('get', '/api/shows/{show_id}/activities', { path: { show_id }, query })
export const getActivity = (activity_id: string) => call('get', '/api/activities/{activity_id}', { path: { activity_id } })
export const enterActivity = (activity_id: string, entry: { nonce: string; choice?: number }) =>
  call('post', '/api/activities/{activity_id}/entries', { path: { activity_id }, body: entry })
export const getProof = (activity_id: string) => call('get', '/api/draws/{activity_id}/proof', { path: { activity_id } })
export const crossOver = (activity_id: string, visit: string) =>
  call('post', '/api/activities/{activity_id}/crossings', { path: { activity_id }, body: { visit } })
export const openBargain = (activity_id: string, id: string) =>
  call('post', '/api/activities/{activity_id}/bargains', { path: { activity_id }, body: { id } })
export const getBargain = (bargain_id: string) => call('get', '/api/bargains/{bargain_id}', { path: { bargain_id } })
export const helpBargain = (bargain_id: string, nonce: string) =>
  call('post', '/api/bargains/{bargain_id}/helps', { path: { bargain_id }, body: { nonce } })
export const takePrice = (bargain_id: string) => call('post', '/api/bargains/{bargain_id}/grant', { path: { bargain_id }, body: {} })
export const getWallet = (after?: string) => call('get', '/api/me/wallet', { query: { after } })
export const topUpWallet = (id: string, amount: Money, method: string) => call('post', '/api/me/topups', { body: { id, amount, method } })
export const listTemplates = () => call('get', '/api/activity-templates')
export const planActivity = (show_id: string, draft: ActivityDraft) =>
  call('post', '/api/shows/{show_id}/activities', { path: { show_id }, body: draft })
export const startActivity = (activity_id: string) => call('post', '/api/activities/{activity_id}/start', { path: { activity_id }, body: {} })
export const cancelActivity = (activity_id: string) =>
  call('post', '/api/activities/{activity_id}/cancellation', { path: { activity_id }, body: {} })
export const agreeToActivity = (activity_id: string) =>
  call('post', '/api/activities/{activity_id}/consent', { path: { activity_id }, body: {} })
export const getShopWallet = (shop_id: string, after?: string) =>
  call('get', '/api/shops/{shop_id}/wallet', { path: { shop_id }, query: { after } })
export const topUpShop = (shop_id: string, id: string, amount: Money, method: string) =>
  call('post', '/api/shops/{shop_id}/topups', { path: { shop_id }, body: { id, amount, method } })

// the watch over the books
export const getStatus = () => call('get', '/api/status')
