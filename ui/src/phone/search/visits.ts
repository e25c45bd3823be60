/**
 * Where products were found on the shelf, so that their orders say so: a signed visit for each, kept for the tab. It is the
 * viewer's own; a guest's goes on with the account that the guest becomes.
 */
import { visitProduct } from '@/shared/api/endpoints'
import { useSession } from '@/shared/session'

interface Kept { visit: string; until: string; viewer: string; guest: boolean }

const KEPT = 'laotie.shelf-visits'
const KEPT_MAX = 60

/** Exchange a hit's entry for the visit that orders of the product carry. Without one the order is the shelf's as well. */
export async function enterProduct(product_id: string, entry: string): Promise<void> {
  const session = useSession()
  const me = await session.load()
  const { visit, expires_at } = await visitProduct(product_id, entry)
  const others = Object.entries(read()).filter(([id]) => id !== product_id).slice(1 - KEPT_MAX)
  write({ ...Object.fromEntries(others), [product_id]: { visit, until: expires_at, viewer: me.viewer_id, guest: !session.signedIn } })
}

/** The visit of a purchase of these products: the last one, if all of them were found so. */
export function visitOf(product_ids: string[]): string | undefined {
  const session = useSession()
  const kept = read()
  const own = product_ids.map((id) => kept[id]).filter((one) => one && Date.parse(one.until) > Date.now() && isMine(one, session.me?.viewer_id, session.signedIn))
  if (!own.length || own.length < product_ids.length) return undefined
  for (const one of own) if (one && one.guest && session.signedIn) Object.assign(one!, { viewer: session.me!.viewer_id, guest: false })
  write(kept)
  return own.at(-1)!.visit
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
