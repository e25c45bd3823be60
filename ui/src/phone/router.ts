import { createRouter, createWebHistory } from 'vue-router'
import { useSession } from '@/shared/session'

declare module 'vue-router' {
  interface RouteMeta { tab?: boolean; account?: boolean; title?: string }
}

export const router = createRouter({
  history: createWebHistory('/'),
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
  routes: [
    { path: '/', name: 'home', component: () => import('./pages/DiscoverPage.vue'), beforeEnter: home, meta: { tab: true } },
    { path: '/following', name: 'following', component: () => import('./pages/FollowingPage.vue'), meta: { tab: true, title: 'phone.tab.following' } },
    { path: '/discover', name: 'discover', component: () => import('./pages/DiscoverPage.vue'), meta: { tab: true, title: 'phone.tab.discover' } },
    { path: '/videos', name: 'videos', component: () => import('./videos/VideosPage.vue'), meta: { tab: true, title: 'phone.tab.videos' } },
    { path: '/videos/:id', name: 'video', component: () => import('./videos/VideosPage.vue'), props: true, meta: { tab: true } },
    { path: '/search', name: 'search', component: () => import('./search/SearchPage.vue'), meta: { title: 'phone.search.title' } },
    { path: '/categories/:category', name: 'category', component: () => import('./search/SearchPage.vue'), meta: { title: 'phone.search.title' } },
    { path: '/products/:id', name: 'product', component: () => import('./pages/ProductPage.vue'), props: true },
    { path: '/products/:id/reviews', name: 'reviews', component: () => import('./reviews/ReviewsPage.vue'), props: true, meta: { title: 'phone.review.title' } },
    { path: '/streamers/:id', name: 'streamer', component: () => import('./pages/StreamerPage.vue'), props: true },
    { path: '/shows/:id', name: 'room', component: () => import('./room/RoomPage.vue'), props: true },
    { path: '/notices', name: 'notices', component: () => import('./pages/NoticesPage.vue'), meta: { title: 'phone.notices.title' } },
    { path: '/replay/:id', name: 'replay', component: () => import('./replay/ReplayPage.vue'), props: true },
    { path: '/clips/:id', name: 'clip', component: () => import('./replay/ClipPage.vue'), props: true },
    { path: '/bargains/:id', name: 'bargain', component: () => import('./fun/BargainPage.vue'), props: true, meta: { title: 'phone.fun.kind.bargain' } },
    { path: '/basket', name: 'basket', component: () => import('./basket/BasketPage.vue'), meta: { account: true, title: 'phone.basket.title' } },
    { path: '/checkout', name: 'checkout', component: () => import('./buying/CheckoutPage.vue'), meta: { account: true, title: 'phone.checkout.title' } },
    { path: '/teams/:id', name: 'team', component: () => import('./groups/TeamPage.vue'), props: true, meta: { title: 'phone.group.title' } },
    { path: '/orders', name: 'orders', component: () => import('./pages/OrdersPage.vue'), meta: { tab: true, account: true, title: 'phone.tab.orders' } },
    { path: '/orders/:id', name: 'order', component: () => import('./pages/OrderPage.vue'), props: true, meta: { account: true, title: 'phone.order.title' } },
    { path: '/orders/:id/invoice', name: 'invoice', component: () => import('./orders/InvoicePage.vue'), props: true, meta: { account: true, title: 'phone.invoice.title' } },
    { path: '/orders/:id/parcels', name: 'parcels', component: () => import('./parcels/ParcelsPage.vue'), props: true, meta: { account: true, title: 'phone.parcel.title' } },
    { path: '/orders/:id/invoice', name: 'invoice', component: () => import('./orders/InvoicePage.vue'), props: true, meta: { account: true, title: 'phone.invoice.title' } },
    { path: '/orders/:id/review', name: 'review', component: () => import('./reviews/ReviewPage.vue'), props: true, meta: { account: true, title: 'phone.review.mine' } },
    { path: '/orders/:id/claim', name: 'claim', component: () => import('./aftersales/ClaimPage.vue'), props: true, meta: { account: true, title: 'phone.case.startTitle' } },
    { path: '/cases', name: 'cases', component: () => import('./aftersales/CasesPage.vue'), meta: { account: true, title: 'phone.case.mine' } },
    { path: '/cases/:id', name: 'case', component: () => import('./aftersales/CasePage.vue'), props: true, meta: { account: true, title: 'phone.case.title' } },
    { path: '/orders/:id/invoice', name: 'invoice', component: () => import('./orders/InvoicePage.vue'), props: true, meta: { account: true, title: 'phone.invoice.title' } },
    { path: '/orders/:id/result', name: 'result', component: () => import('./pages/ResultPage.vue'), props: true, meta: { account: true, title: 'phone.result.title' } },
    { path: '/pay/:id', name: 'pay-code', component: () => import('./buying/PayCodePage.vue'), props: true, meta: { title: 'phone.pay.title' } },
    { path: '/sandbox-account/:id', name: 'sandbox-account', component: () => import('./pages/SandboxAccountPage.vue'), props: true, meta: { title: 'phone.sandboxAccount.title' } },
    { path: '/sandbox-pay/:id', name: 'sandbox-pay', component: () => import('./pages/SandboxPayPage.vue'), props: true, meta: { title: 'phone.sandbox.title' } },
    { path: '/sign-in', name: 'sign-in', component: () => import('./pages/SignInPage.vue'), meta: { title: 'common.signIn' } },
    { path: '/me', name: 'me', component: () => import('./pages/MePage.vue'), meta: { tab: true, title: 'phone.tab.me' } },
    { path: '/me/addresses', name: 'addresses', component: () => import('./pages/AddressesPage.vue'), meta: { account: true, title: 'phone.address.title' } },
    { path: '/me/devices', name: 'devices', component: () => import('./pages/DevicesPage.vue'), meta: { account: true, title: 'phone.devices.title' } },
    { path: '/coupons', name: 'coupons', component: () => import('./coupons/CouponsPage.vue'), meta: { title: 'phone.coupon.centre' } },
    { path: '/me/coupons', name: 'my-coupons', component: () => import('./coupons/MyCouponsPage.vue'), meta: { account: true, title: 'phone.coupon.mine' } },
    { path: '/me/wallet', name: 'wallet', component: () => import('./pages/WalletPage.vue'), meta: { account: true, title: 'phone.wallet.title' } },
    { path: '/me/data', name: 'data', component: () => import('./pages/DataPage.vue'), meta: { account: true, title: 'phone.data.title' } },
    { path: '/status', name: 'status', component: () => import('./status/StatusPage.vue'), meta: { title: 'phone.books.title' } },
    { path: '/:rest(.*)', name: 'missing', component: () => import('./pages/MissingPage.vue') },
  ],
})

/** Those who follow someone start with their own people; everybody else starts with what is on. */
async function home() {
  const session = useSession()
  await session.load().catch(() => undefined)
  return { name: session.signedIn ? 'following' : 'discover', replace: true }
}

router.beforeEach(async (to) => {
  if (!to.meta.account) return true
  const session = useSession()
  await session.load().catch(() => undefined)
  if (session.signedIn || session.me === null) return true
  return { name: 'sign-in', query: { to: to.fullPath }, replace: true }
})
