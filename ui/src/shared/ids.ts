/** The tail of an order's id, as people read it out: the same on the buyer's phone and in the shop's console. */
export function orderNumber(id: string): string {
  return id.replaceAll('-', '').slice(-10).toUpperCase()
}

/** A UUIDv7 made here: what a client creates carries the client's id, and that id is the idempotency key. */
export function newId(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  for (let index = 0; index < 6; index++) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) % 256
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
