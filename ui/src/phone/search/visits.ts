/**
 * Where products were found on the shelf, so that their orders say so: a signed visit for each, kept for the tab. It is the
 * viewer's own; a guest's goes on with the account that the guest becomes.
 */
import { visitProduct } from '@/shared/api/endpoints'
import { useSession } from '@/shared/session'

interface Kept { visit: string; until: string; viewer: string; guest: boolean }

const KEPT = 'laotie.shelf-visits'
const KEPT_MAX = 60

/**
 * The product's page is in sight: exchange a hit's entry, or the visit one comes from, for the visit that orders of the product
 * carry. Without either it goes on with what brought the viewer to the shop a moment ago, or is the shelf's.
 */
export async function enterProduct(product_id: string, from: { entry?: string; visit?: string }): Promise<void> {
  const session = useSession()
  const me = await session.load()
  const { visit, expires_at } = await visitProduct(product_id, from).catch(() => visitProduct(product_id, {}))
  const others = Object.entries(read()).filter(([id]) => id !== product_id).slice(1 - KEPT_MAX)
  write({ ...Object.fromEntries(others), [product_id]: { visit, until: expires_at, viewer: me.viewer_id, guest: !session.signedIn } })
}

/** The visit of a purchase on a product's page. */
export function visitOf(product_id: string): string | undefined {
  const session = useSession()
  const kept = read()
  const own = kept[product_id]
  if (!own || Date.parse(own.until) <= Date.now() || !isMine(own, session.me?.viewer_id, session.signedIn)) return undefined
  if (own.guest && session.signedIn) Object.assign(own, { viewer: session.me!.viewer_id, guest: false })
  write(kept)
  return own.visit
}

function isMine(one: Kept, viewer: string | undefined, signedIn: boolean): boolean {
  return one.viewer === viewer || (one.guest && signedIn)
}

function write(kept: Record<string, Kept>): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept))
  } catch {
    // the order is the shelf's then, without saying how it was found
  }
}

function read(): Record<string, Kept> {
  try {
    return (JSON.parse(sessionStorage.getItem(KEPT) ?? '{}') ?? {}) as Record<string, Kept>
  } catch {
    return {}
  }
}
