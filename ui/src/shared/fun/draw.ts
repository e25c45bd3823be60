/**
 * Repeats a draw from its proof, as `laotie verify-draw` does: docs/draws.md tells the algorithm, tests/fun/vectors.json
 * holds what both must agree on. Nothing here asks the server anything.
 */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'

const FORMAT = 'laotie-draw-1'
const WORD = 1n << 64n
const SHARES_MAX = 100_000
const PRIZE_KINDS_MAX = 100

/** Place, alias, milliseconds since 1970, the client's nonce, choice. */
type Entry = [no: number, entrant: string, at_ms: number, nonce: string, choice: string]
/** Place of the entry, alias, number of the prize (-1: none by title), amount in minor units. */
type Award = [no: number, entrant: string, prize: number, amount: number]

export interface Proof {
  format: string; title: string; rules: string; secret: string; commitment: string; seed: string
  entries: Entry[]; entries_hash: string; outcome: Award[]
}

interface Rules {
  format: string; activity: string; kind: string; opens_ms: number; closes_ms: number; currency: string; amount: number
  split: string; count: number; prizes: { title: string; count: number; amount?: number }[]; price: number; floor: number; helpers: number
}

export type Check = 'readable' | 'known' | 'committed' | 'numbered' | 'once' | 'in_time' | 'same_entries' | 'outcome' | 'enough' | 'adds_up'
export interface Finding { check: Check; holds: boolean }

function whole(value: number, size: 4 | 8): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('not a whole number')
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes.slice(8 - size)
}

function digest(tag: string, ...parts: Uint8Array[]): Uint8Array {
  const framed = parts.flatMap((part) => [whole(part.length, 4), part])
  return sha256(concatBytes(utf8ToBytes(`laotie/draw/v1/${tag}`), new Uint8Array(1), ...framed))
}

const uuidBytes = (uuid: string): Uint8Array => hexToBytes(uuid.replaceAll('-', ''))
const keyOf = (seed: Uint8Array, purpose: string, boundTo: Uint8Array): Uint8Array => hmac(sha256, seed, digest(purpose, boundTo))

/** Whole numbers from a key: HMAC-SHA256 of a counter as 64-bit words; too large ones are thrown away, so none is likelier. */
class Dice {
  private counter = 0
  private words: bigint[] = []

  constructor(private readonly key: Uint8Array) {}

  below(bound: number): number {
    const wide = BigInt(bound)
    const limit = WORD - (WORD % wide)
    for (;;) {
      const word = this.next()
      if (word < limit) return Number(word % wide)
    }
  }

  private next(): bigint {
    if (this.words.length === 0) {
      const block = new DataView(hmac(sha256, this.key, whole(this.counter++, 8)).buffer)
      this.words = [0, 8, 16, 24].map((at) => block.getBigUint64(at))
    }
    return this.words.shift()!
  }
}

/** `count` shares of at least 1 that sum to `amount`, shuffled. */
function splitLucky(key: Uint8Array, amount: number, count: number): number[] {
  const dice = new Dice(key)
  let spare = amount - count
  const shares: number[] = []
  for (let left = count; left > 1; left--) {
    const extra = dice.below(Math.floor((2 * spare) / left) + 1)
    shares.push(1 + extra)
    spare -= extra
  }
  shares.push(1 + spare)
  for (let last = count - 1; last > 0; last--) {
    const other = dice.below(last + 1)
    ;[shares[last], shares[other]] = [shares[other]!, shares[last]!]
  }
  return shares
}

function packetShares(seed: Uint8Array, rules: Rules): number[] {
  if (rules.split === 'lucky') return splitLucky(keyOf(seed, 'split', uuidBytes(rules.activity)), rules.amount, rules.count)
  const share = Math.floor(rules.amount / rules.count)
  const rest = rules.amount % rules.count
  return Array.from({ length: rules.count }, (_, number) => share + (number < rest ? 1 : 0))
}

function pick(key: Uint8Array, population: number, count: number): number[] {
  const dice = new Dice(key)
  const order = Array.from({ length: population }, (_, place) => place)
  const drawn = Math.min(count, population)
  for (let place = 0; place < drawn; place++) {
    const other = place + dice.below(population - place)
    ;[order[place], order[other]] = [order[other]!, order[place]!]
  }
  return order.slice(0, drawn)
}

function decide(seed: Uint8Array, rules: Rules, { secret, entries }: Proof, head: Uint8Array): Award[] {
  if (rules.kind === 'red_packet') {
    const shares = packetShares(seed, rules)
    return entries.slice(0, shares.length).map(([no, entrant], place) => [no, entrant, -1, shares[place]!])
  }
  if (rules.kind === 'bargain') return cuts(seed, rules, entries)
  if (rules.kind !== 'lottery' && rules.kind !== 'quiz') return []
  const eligible = rules.kind === 'lottery' ? entries : entries.filter(([, , , , choice]) => choice === secret)
  const prizes = rules.prizes.flatMap((prize, number) => Array.from({ length: prize.count }, () => [number, prize.amount ?? 0] as const))
  return pick(keyOf(seed, 'draw', head), eligible.length, prizes.length)
    .map((place, turn): Award => [eligible[place]![0], eligible[place]![1], prizes[turn]![0], prizes[turn]![1]])
    .sort((one, other) => one[0] - other[0])
}

function cuts(seed: Uint8Array, rules: Rules, entries: Entry[]): Award[] {
  const of = new Map<string, number[]>()
  return entries.map(([no, entrant, , , bargain]) => {
    if (!of.has(bargain)) {
      const key = keyOf(seed, 'bargain', concatBytes(uuidBytes(rules.activity), uuidBytes(bargain)))
      of.set(bargain, splitLucky(key, rules.price - rules.floor, rules.helpers))
    }
    const cut = of.get(bargain)!.shift()
    if (cut === undefined) throw new RangeError('more helpers than the rules allow')
    return [no, entrant, -1, cut]
  })
}

function chain(commitment: Uint8Array, entries: Entry[]): Uint8Array {
  let head = digest('entries', commitment)
  for (const [no, entrant, atMs, nonce, choice] of entries) {
    head = digest('entry', head, whole(no, 8), hexToBytes(entrant), whole(atMs, 8), utf8ToBytes(nonce), utf8ToBytes(choice))
  }
  return head
}

function isSane(rules: Rules): boolean {
  const packet = rules.kind !== 'red_packet' || (rules.count >= 1 && rules.count <= Math.min(rules.amount, SHARES_MAX))
  const bargain = rules.kind !== 'bargain' || (rules.helpers >= 1 && rules.helpers <= Math.min(rules.price - rules.floor, SHARES_MAX))
  const prizes = rules.prizes.every((prize) => prize.count >= 0 && prize.count <= SHARES_MAX && (prize.amount ?? 0) >= 0)
  return packet && bargain && prizes && rules.prizes.length <= PRIZE_KINDS_MAX
}

/** Checks a proof step by step: every finding holds, or something is not as it was promised. */
export function verifyDraw(proof: Proof): Finding[] {
  const found: Finding[] = []
  const note = (check: Check, holds: boolean): boolean => {
    found.push({ check, holds })
    return holds
  }
  let rules: Rules
  let seed: Uint8Array
  let commitment: Uint8Array
  let head: Uint8Array
  try {
    rules = JSON.parse(proof.rules) as Rules
    seed = hexToBytes(proof.seed)
    commitment = hexToBytes(proof.commitment)
    head = chain(commitment, proof.entries)
  } catch {
    note('readable', false)
    return found
  }
  if (!note('known', proof.format === FORMAT && rules.format === FORMAT && seed.length === 32 && isSane(rules))) return found
  note('committed', bytesToHex(digest('commitment', seed, utf8ToBytes(proof.rules), utf8ToBytes(proof.secret))) === bytesToHex(commitment))
  note('numbered', proof.entries.every(([no], place) => no === place + 1))
  note('once', new Set(proof.entries.map(([, entrant]) => entrant)).size === proof.entries.length)
  note('in_time', proof.entries.every(([, , at]) => rules.opens_ms <= at && at < rules.closes_ms))
  note('same_entries', bytesToHex(head) === proof.entries_hash)
  let outcome: Award[]
  try {
    outcome = decide(seed, rules, proof, head)
  } catch {
    note('outcome', false)
    return found
  }
  note('outcome', JSON.stringify(outcome) === JSON.stringify(proof.outcome))
  const paid = outcome.reduce((sum, [, , , amount]) => sum + amount, 0)
  if (rules.kind !== 'bargain') note('enough', paid <= rules.amount)
  if (rules.kind === 'red_packet') {
    const shares = packetShares(seed, rules)
    note('adds_up', shares.reduce((sum, share) => sum + share, 0) === rules.amount && shares.every((share) => share >= 1) && proof.entries.length <= shares.length)
  }
  return found
}
