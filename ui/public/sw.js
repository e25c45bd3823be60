/*
 * The service worker: shows web pushes, and leads to where they point. It keeps no pages: the shop is always fresh.
 *
 * A push carries a kind and facts. The words are the page's: whenever it runs with push switched on, it leaves its
 * catalogue's templates, in the viewer's language, in the cache named here (see src/phone/notices/push.ts).
 */
const CACHE = 'laotie-notice-words'
const WORDS = '/notice-words'

self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))

self.addEventListener('push', (event) => {
  if (event.data) event.waitUntil(show(event.data.json()))
})

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  event.waitUntil(open(`/notices?open=${encodeURIComponent(event.notification.data.id)}`))
})

async function show({ id, kind, facts, at }) {
  const words = await (await caches.open(CACHE)).match(WORDS).then((found) => found?.json())
  const template = words?.kinds[kind] ?? {}
  await self.registration.showNotification(fill(template.title, facts, words?.locale) || (facts.streamer ?? 'Laotie'), {
    body: fill(template.text, facts, words?.locale) || (facts.title ?? ''),
    lang: words?.locale,
    icon: '/icon.svg',
    tag: id,
    timestamp: Date.parse(at),
    data: { id },
  })
}

/** Puts facts where the template has `{name}`; instants become the viewer's own time, amounts are written as money. */
function fill(template, facts, locale) {
  return template?.replace(/\{(\w+)\}/g, (_, name) => {
    const fact = facts[name] ?? ''
    if (fact.currency) return money(fact, locale)
    const clock = { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
    return /^\d{4}-\d\d-\d\dT/.test(fact) ? new Intl.DateTimeFormat(locale, clock).format(new Date(fact)) : String(fact)
  })
}

function money({ amount, currency }, locale) {
  const form = new Intl.NumberFormat(locale, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' })
  return form.format(amount / 10 ** form.resolvedOptions().maximumFractionDigits)
}

async function open(url) {
  const pages = await self.clients.matchAll({ type: 'window' })
  const page = pages.find((one) => 'focus' in one)
  if (!page) return self.clients.openWindow(url)
  await page.focus()
  page.postMessage({ open: url })
}
