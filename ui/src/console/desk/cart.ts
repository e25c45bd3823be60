/**
 * The cart of the desk while it is being edited: what the server said, with our unanswered edits laid over it.
 *
 * Promises: an edit shows at once; edits are sent one after another, each naming the version that it is made on; a
 * refusal takes exactly that edit back; `changed-meanwhile` brings the item as it is now; the last edits can be
 * undone in turn. Nothing here knows the network or the screen: both are handed in.
 */
import { computed, reactive, shallowReactive } from 'vue'
import { Refused } from '@/shared/api/ask'
import type { CartItem, Money } from '@/shared/api/types'
import type { CartPatch } from '../api'

export interface CartDoor {
  change: (id: string, patch: CartPatch & { expected_version: number }) => Promise<CartItem>
  pin: (id: string | null) => Promise<unknown>
  remove: (id: string) => Promise<unknown>
  reload: () => Promise<CartItem[]>
}

export type Trouble = { kind: 'changed-meanwhile' | 'refused'; item: CartItem | null; error: unknown }
/** What an undo button offers: which act, on which item. */
export interface Undo { act: keyof CartPatch | 'pin'; title: string; run: () => Promise<boolean> }

interface Edit { patch: CartPatch }

const UNDO_MAX = 20

export class CartEditor {
  private readonly known = reactive(new Map<string, CartItem>())
  private readonly edits = shallowReactive(new Map<string, Edit[]>())
  private queue: Promise<unknown> = Promise.resolve()
  private readonly state = reactive({ pinned: null as string | null, pinning: undefined as string | null | undefined, removing: new Set<string>() })
  readonly undos = reactive<Undo[]>([])

  constructor(private readonly door: CartDoor, private readonly onTrouble: (trouble: Trouble) => void) {}

  /** The items as they should be shown, in order. */
  readonly items = computed<CartItem[]>(() => {
    let items = [...this.known.values()]
      .sort((one, other) => one.position - other.position || one.id.localeCompare(other.id))
      .map((item) => ({ ...overlay(item, this.edits.get(item.id) ?? []), pinned: item.id === this.pinned.value }))
    for (const [id, edits] of this.edits) {
      for (const { patch } of edits) if (patch.position !== undefined) items = moved(items, id, patch.position)
    }
    return items.filter((item) => !this.state.removing.has(item.id))
  })

  readonly pinned = computed(() => (this.state.pinning === undefined ? this.state.pinned : this.state.pinning))

  busy(id: string): boolean {
    return (this.edits.get(id)?.length ?? 0) > 0
  }

  /** The server's whole cart: what is absent is gone. */
  load(items: CartItem[]): void {
    const present = new Set(items.map((item) => item.id))
    for (const id of [...this.known.keys()]) if (!present.has(id)) this.known.delete(id)
    for (const item of items) this.learn(item)
    this.state.pinned = items.find((item) => item.pinned)?.id ?? null
  }

  /** One item as the server has it now; an older version than the known one is no news. */
  learn(item: CartItem): void {
    const known = this.known.get(item.id)
    if (known && known.version > item.version) return
    this.known.set(item.id, { ...item })
  }

  forget(id: string): void {
    this.known.delete(id)
    this.edits.delete(id)
    if (this.state.pinned === id) this.state.pinned = null
  }

  stock(skuId: string, available: number): void {
    for (const item of this.known.values()) {
      for (const sku of item.skus) if (sku.sku_id === skuId) sku.available = available
    }
  }

  tellPin(id: string | null): void {
    this.state.pinned = id
  }

  /** Changes an item; the answer says whether the server took it. */
  change(id: string, patch: CartPatch, undoable = true): Promise<boolean> {
    const place = this.items.value.findIndex((item) => item.id === id)
    const before = this.items.value[place]
    if (!before) return Promise.resolve(false)
    const back = inverse(before, patch, place)
    const edit: Edit = { patch }
    this.edits.set(id, [...(this.edits.get(id) ?? []), edit])
    return this.inTurn(() => this.send(id, edit)).then((taken) => {
      const act = Object.keys(patch)[0] as keyof CartPatch
      if (taken && undoable) this.offer({ act, title: before.title, run: () => this.change(id, back, false) })
      return taken
    })
  }

  /** Puts an item at another place of the list, counted from zero; everything between moves by one. */
  move(id: string, to: number): Promise<boolean> {
    const from = this.items.value.findIndex((item) => item.id === id)
    const position = Math.max(0, Math.min(to, this.items.value.length - 1))
    if (from < 0 || from === position) return Promise.resolve(false)
    return this.change(id, { position })
  }

  async pin(id: string | null, undoable = true): Promise<boolean> {
    const before = this.pinned.value
    const title = this.items.value.find((item) => item.id === (id ?? before))?.title ?? ''
    this.state.pinning = id
    try {
      await this.inTurn(async () => {
        await this.door.pin(id)
        this.state.pinned = id
        this.load(await this.door.reload()) // a pin raises the versions of the items it touches
      })
      if (undoable) this.offer({ act: 'pin', title, run: () => this.pin(before, false) })
      return true
    } catch (error) {
      if (this.state.pinning === id) this.state.pinning = undefined
      this.onTrouble({ kind: 'refused', item: id ? (this.known.get(id) ?? null) : null, error })
      return false
    } finally {
      if (this.state.pinning === id) this.state.pinning = undefined
    }
  }

  async remove(id: string): Promise<boolean> {
    this.state.removing.add(id)
    try {
      await this.inTurn(() => this.door.remove(id))
      this.forget(id)
      return true
    } catch (error) {
      this.onTrouble({ kind: 'refused', item: this.known.get(id) ?? null, error })
      return false
    } finally {
      this.state.removing.delete(id)
    }
  }

  async undo(): Promise<Undo | null> {
    const last = this.undos.pop()
    if (!last) return null
    await last.run()
    return last
  }

  /** The next item on the shelf with pieces left, after the pinned one, round the list. */
  next(): CartItem | null {
    const items = this.items.value
    const start = items.findIndex((item) => item.id === this.pinned.value)
    for (let step = 1; step <= items.length; step++) {
      const item = items[(start + step + items.length) % items.length]!
      if (item.id !== this.pinned.value && item.on_shelf && left(item) > 0) return item
    }
    return null
  }

  /** Acts on one cart follow one another, here as at the server. */
  private inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(act)
    this.queue = turn.catch(() => undefined)
    return turn
  }

  private async send(id: string, edit: Edit): Promise<boolean> {
    const item = this.known.get(id)
    if (!item) return this.drop(id, edit, false)
    try {
      const answer = await this.door.change(id, { ...whole(item, edit.patch), expected_version: item.version })
      this.learn(answer)
      if (edit.patch.position !== undefined) this.load(await this.door.reload())
      return this.drop(id, edit, true)
    } catch (error) {
      const changed = error instanceof Refused && error.code === 'changed-meanwhile'
      if (changed) await this.door.reload().then((items) => this.load(items), () => undefined)
      this.drop(id, edit, false)
      this.onTrouble({ kind: changed ? 'changed-meanwhile' : 'refused', item: this.known.get(id) ?? item, error })
      return false
    }
  }

  private drop(id: string, edit: Edit, taken: boolean): boolean {
    const rest = (this.edits.get(id) ?? []).filter((other) => other !== edit)
    if (rest.length) this.edits.set(id, rest)
    else this.edits.delete(id)
    return taken
  }

  private offer(undo: Undo): void {
    this.undos.push(undo)
    if (this.undos.length > UNDO_MAX) this.undos.shift()
  }
}

/** Pieces left over all SKUs. */
export function left(item: CartItem): number {
  return item.skus.reduce((sum, sku) => sum + sku.available, 0)
}

/** The lowest and highest show price. */
export function priceRange(item: { skus: { price: Money }[] }): [Money, Money] | null {
  const prices = item.skus.map((sku) => sku.price).sort((one, other) => one.amount - other.amount)
  return prices.length ? [prices[0]!, prices.at(-1)!] : null
}

/** The item as it will be once the edits are taken; places are the list's affair. */
export function overlay(item: CartItem, edits: { patch: CartPatch }[]): CartItem {
  let shown = item
  for (const { patch } of edits) {
    const { prices, position: _, ...rest } = patch
    shown = { ...shown, ...rest }
    if (prices) {
      const by = new Map(prices.map(({ sku_id, price }) => [sku_id, price]))
      shown = { ...shown, skus: shown.skus.map((sku) => ({ ...sku, price: by.get(sku.sku_id) ?? sku.price })) }
    }
  }
  return shown
}

/** The patch that would take the other one back. */
export function inverse(before: CartItem, patch: CartPatch, place: number): CartPatch {
  const back: CartPatch = {}
  if (patch.position !== undefined) back.position = place
  if (patch.on_shelf !== undefined) back.on_shelf = before.on_shelf
  if (patch.limit_per_person !== undefined) back.limit_per_person = before.limit_per_person
  if (patch.sale_ends_at !== undefined) back.sale_ends_at = before.sale_ends_at
  if (patch.prices) {
    const changed = new Set(patch.prices.map(({ sku_id }) => sku_id))
    back.prices = before.skus.filter((sku) => changed.has(sku.sku_id)).map(({ sku_id, price }) => ({ sku_id, price }))
  }
  return back
}

/** The server replaces all prices of an item: those that stay are said along. */
export function whole(item: CartItem, patch: CartPatch): CartPatch {
  if (!patch.prices) return patch
  return { ...patch, prices: overlay(item, [{ patch }]).skus.map(({ sku_id, price }) => ({ sku_id, price })) }
}

export function moved(items: CartItem[], id: string, position: number): CartItem[] {
  const item = items.find((item) => item.id === id)
  if (!item) return items
  const others = items.filter((other) => other.id !== id)
  others.splice(Math.max(0, position), 0, item)
  return others
}
