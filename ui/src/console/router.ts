/** Where everything stands. A page's `nav` names the rail entry it belongs to; `scope` the right it takes. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { useSession } from '@/shared/session'
import { PAGES, SECTIONS, type Level } from './insight/pages'
import { useShop, type Scope } from './shop'

declare module 'vue-router' {
  interface RouteMeta {
    nav?: string
    scope?: Scope
    operator?: boolean
    open?: boolean
    /** The page fills the window and scrolls inside. */
    fill?: boolean
  }
}

/** The insight section of a level, a route a page; its first page is where it opens. */
function insight(level: Level, meta: { scope?: Scope; operator?: boolean }): RouteRecordRaw {
  const nav = SECTIONS[level]
  const pages = PAGES.filter((page) => page.levels.includes(level))
  return {
    path: nav, component: () => import('./insight/InsightFrame.vue'), props: { level }, meta: { nav, ...meta }, redirect: { name: `${nav}-${pages[0]!.key}` },
    children: pages.map(({ key, page }) => ({ path: key, name: `${nav}-${key}`, component: page, props: { level } })),
  }
}

const routes: RouteRecordRaw[] = [
  { path: '/sign-in', name: 'sign-in', component: () => import('./pages/SignIn.vue'), meta: { open: true } },
  {
    path: '/',
    component: () => import('./shell/Shell.vue'),
    children: [
      { path: '', name: 'home', component: () => import('./pages/Home.vue'), meta: { nav: 'home' } },
      { path: 'shows', name: 'shows', component: () => import('./pages/Shows.vue'), meta: { nav: 'shows', scope: 'show' } },
      { path: 'shows/:id', name: 'desk', component: () => import('./desk/DeskPage.vue'), props: true, meta: { nav: 'shows', scope: 'show', fill: true } },
      { path: 'shows/:id/board', name: 'board', component: () => import('./board/BoardPage.vue'), props: true, meta: { nav: 'shows', scope: 'show' } },
      { path: 'shows/:id/replay', name: 'replay', component: () => import('./replay/ReplayDesk.vue'), props: true, meta: { nav: 'shows', scope: 'show' } },
      { path: 'shows/:id/review', name: 'review', component: () => import('./insight/ReviewPage.vue'), props: true, meta: { nav: 'shows' } },
      { path: 'videos', name: 'videos', component: () => import('./videos/VideosPage.vue'), meta: { nav: 'videos', scope: 'show' } },
      { path: 'products', name: 'products', component: () => import('./products/ProductsPage.vue'), meta: { nav: 'products', scope: 'catalog' } },
      { path: 'coupons', name: 'coupons', component: () => import('./coupons/CouponsPage.vue'), meta: { nav: 'coupons', scope: 'catalog' } },
      { path: 'groups', name: 'groups', component: () => import('./groups/GroupsPage.vue'), meta: { nav: 'groups', scope: 'catalog' } },
      { path: 'authorisations', name: 'authorisations', component: () => import('./dealing/AuthorisationsPage.vue'), meta: { nav: 'authorisations', scope: 'catalog' } },
      { path: 'brands', name: 'brands', component: () => import('./dealing/BrandsPage.vue'), meta: { nav: 'brands' } },
      { path: 'verification', name: 'verification', component: () => import('./dealing/VerificationPage.vue'), meta: { nav: 'verification', operator: true } },
      { path: 'orders', name: 'orders', component: () => import('./orders/OrdersPage.vue'), meta: { nav: 'orders', scope: 'orders' } },
      { path: 'shipping-templates', name: 'shipping-templates', component: () => import('./freight/FreightPage.vue'), meta: { nav: 'shipping-templates', scope: 'catalog' } },
      { path: 'invoices', name: 'invoices', component: () => import('./invoices/InvoicesPage.vue'), meta: { nav: 'invoices', scope: 'orders' } },
      { path: 'shipments', name: 'shipments', component: () => import('./shipments/ShipmentsPage.vue'), meta: { nav: 'shipments', scope: 'orders' } },
      { path: 'money', name: 'money', component: () => import('./money/MoneyPage.vue'), meta: { nav: 'money', scope: 'money' } },
      { path: 'money/:month', name: 'statement', component: () => import('./money/StatementPage.vue'), props: (to) => ({ month: to.params.month, currency: to.query.currency }), meta: { nav: 'money', scope: 'money' } },
      { path: 'earnings', name: 'earnings', component: () => import('./money/MoneyPage.vue'), props: { own: true }, meta: { nav: 'earnings' } },
      { path: 'earnings/:month', name: 'earnings-statement', component: () => import('./money/StatementPage.vue'), props: (to) => ({ own: true, month: to.params.month, currency: to.query.currency }), meta: { nav: 'earnings' } },
      insight('shop', { scope: 'orders' }),
      insight('streamer', {}),
      insight('platform', { operator: true }),
      { path: 'rates', name: 'rates', component: () => import('./rates/RatesPage.vue'), meta: { nav: 'rates', operator: true } },
      { path: 'payouts', name: 'payouts', component: () => import('./payouts/PayoutsPage.vue'), meta: { nav: 'payouts', scope: 'money' } },
      { path: 'my-payouts', name: 'my-payouts', component: () => import('./payouts/PayoutsPage.vue'), props: { own: true }, meta: { nav: 'my-payouts' } },
      { path: 'payout-desk', name: 'payout-desk', component: () => import('./payouts/DeskPage.vue'), meta: { nav: 'payout-desk', operator: true } },
      { path: 'guarantees', name: 'guarantees', component: () => import('./trust/GuaranteesPage.vue'), meta: { nav: 'guarantees', scope: 'money' } },
      { path: 'reviews', name: 'reviews', component: () => import('./reviews/ReviewsPage.vue'), meta: { nav: 'reviews', scope: 'orders' } },
      { path: 'review-reports', name: 'review-reports', component: () => import('./reviews/ReviewReports.vue'), meta: { nav: 'review-reports', operator: true } },
      { path: 'aftersales', name: 'aftersales', component: () => import('./aftersales/AftersalesPage.vue'), meta: { nav: 'aftersales', scope: 'orders' } },
      { path: 'arbitration', name: 'arbitration', component: () => import('./aftersales/ArbitrationPage.vue'), meta: { nav: 'arbitration', operator: true } },
      { path: 'webhooks', name: 'webhooks', component: () => import('./webhooks/WebhooksPage.vue'), meta: { nav: 'webhooks', scope: 'staff' } },
      { path: 'keys', name: 'keys', component: () => import('./keys/KeysPage.vue'), meta: { nav: 'keys' } },
      { path: 'keys/reference', name: 'reference', component: () => import('./keys/ReferencePage.vue'), meta: { nav: 'keys' } },
      { path: 'exports', name: 'exports', component: () => import('./exports/ExportsPage.vue'), meta: { nav: 'exports' } },
      { path: 'staff', name: 'staff', component: () => import('./pages/Staff.vue'), meta: { nav: 'staff', scope: 'staff' } },
      { path: 'settings', name: 'settings', component: () => import('./pages/Settings.vue'), meta: { nav: 'settings', scope: 'staff' } },
      { path: 'account', name: 'account', component: () => import('./pages/Account.vue'), meta: { nav: 'account' } },
      { path: 'platform-coupons', name: 'platform-coupons', component: () => import('./coupons/CouponsPage.vue'), props: { platform: true }, meta: { nav: 'platform-coupons', operator: true } },
      { path: 'attribution', name: 'attribution', component: () => import('./attribution/AttributionPage.vue'), meta: { nav: 'attribution', operator: true } },
      { path: 'synonyms', name: 'synonyms', component: () => import('./synonyms/SynonymsPage.vue'), meta: { nav: 'synonyms', operator: true } },
      { path: 'checks', name: 'checks', component: () => import('./pages/Checks.vue'), meta: { nav: 'checks', operator: true } },
      { path: 'getting-paid', name: 'getting-paid', component: () => import('./providers/GettingPaidPage.vue'), meta: { nav: 'getting-paid' } },
      { path: 'providers', name: 'providers', component: () => import('./providers/ProvidersPage.vue'), meta: { nav: 'providers', operator: true } },
      { path: 'reconciliation', name: 'reconciliation', component: () => import('./reconciliation/ReconciliationPage.vue'), meta: { nav: 'reconciliation', operator: true } },
      { path: 'audit-log', name: 'audit-log', component: () => import('./pages/AuditLog.vue'), meta: { nav: 'audit-log', operator: true } },
      { path: ':rest(.*)*', name: 'nowhere', component: () => import('./pages/Nowhere.vue') },
    ],
  },
]

export const router = createRouter({
  history: createWebHistory('/console'),
  routes,
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

router.beforeEach(async (to) => {
  const session = useSession()
  try {
    await session.load()
  } catch {
    return true // the shell says that the server cannot be reached, and tries again
  }
  if (!session.signedIn) return to.meta.open ? true : { name: 'sign-in', query: to.fullPath === '/' ? {} : { to: to.fullPath } }
  if (to.name === 'sign-in') return { name: 'home' }
  const shop = useShop()
  if (to.meta.operator && !shop.operator) return { name: 'nowhere', params: { rest: to.path.slice(1).split('/') } }
  return true
})
