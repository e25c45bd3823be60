/** What this device said in a draw and what it was given for it; kept here, so that the proof can be held against it. */
export interface Receipt { no: number; head: string; /** None when somebody else's device entered. */ nonce: string | null }

const KEY = 'laotie.receipts'
const KEPT_MAX = 50
const NONCE_BYTES = 16
const nonces = new Map<string, string>()

/** One an activity, so that a second try says the same. */
export function nonceOf(activityId: string): string {
  const known = nonces.get(activityId)
  if (known) return known
  const made = [...crypto.getRandomValues(new Uint8Array(NONCE_BYTES))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  nonces.set(activityId, made)
  return made
}

export function keepReceipt(activityId: string, receipt: Receipt): void {
  const all = read().filter(([id]) => id !== activityId)
  const before = receiptOf(activityId)
  all.push([activityId, { ...receipt, nonce: receipt.nonce ?? before?.nonce ?? null }])
  try {
    localStorage.setItem(KEY, JSON.stringify(all.slice(-KEPT_MAX)))
  } catch {
    // A browser that keeps nothing still takes part; the server has the receipt too.
  }
}

export function receiptOf(activityId: string): Receipt | null {
  return read().find(([id]) => id === activityId)?.[1] ?? null
}

function read(): [string, Receipt][] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(kept) ? (kept as [string, Receipt][]) : []
  } catch {
    return []
  }
}
