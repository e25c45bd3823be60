/** The basket, kept by the server for an account; here is what of it is chosen to be bought now, and in which shops. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { getBasket, putBasketLine, takeOutOfBasket } from '@/shared/api/endpoints'
import type { BasketLine, Money } from '@/shared/api/types'
import { QUANTITY_MAX } from '../buying/offer'

export interface ShopLines { id: string; name: string; lines: BasketLine[] }
/** In which show's cart something was found. */
export interface Found { show_id: string; cart_item_id: string }

/** By shop, in the order in which they were put in last. */
export function byShop(lines: BasketLine[]): ShopLines[] {
  const shops = new Map<string, ShopLines>()
  for (const line of lines) {
    if (!shops.has(line.shop_id)) shops.set(line.shop_id, { id: line.shop_id, name: line.shop_name, lines: [] })
    shops.get(line.shop_id)!.lines.push(line)
  }
  return [...shops.values()]
}

/** Whether there is anything to buy; too few are still some. */
export function buyable(line: BasketLine): boolean {
  return line.trouble === null || line.trouble === 'too-few'
}

/**
 * One purchase is in one currency and at the prices of one show at most. What is chosen last counts: it drops what
 * cannot be bought with it.
 */
export function together(lines: BasketLine[], chosen: ReadonlySet<string>, last: BasketLine): Set<string> {
  const kept = lines.filter((line) => chosen.has(line.sku_id) && line.price.currency === last.price.currency
    && (!line.show_id || !last.show_id || line.show_id === last.show_id))
  return new Set([...kept.map((line) => line.sku_id), last.sku_id])
}

/** Everything that can be bought in one go, from the first line on. */
export function wholeOf(lines: BasketLine[]): Set<string> {
  let chosen = new Set<string>()
  for (const line of [...lines].reverse()) if (buyable(line)) chosen = together(lines, chosen, line)
  return chosen
}

/** As many as one may buy. */
export function most(line: BasketLine): number {
  return Math.max(1, Math.min(QUANTITY_MAX, line.available, line.limit_per_person ?? QUANTITY_MAX))
}

/** What is bought comes to this: of what is short, the pieces that there are. */
export function sumOf(lines: BasketLine[]): Money | null {
  const first = lines[0]
  return first ? { amount: lines.reduce((sum, line) => sum + line.price.amount * Math.min(line.quantity, most(line)), 0), currency: first.price.currency } : null
}

export const useBasket = defineStore('basket', () => {
  const lines = ref<BasketLine[]>([])
  const known = ref(false)
  const chosen = ref(new Set<string>())
  const count = computed(() => lines.value.length)
  const picked = computed(() => lines.value.filter((line) => chosen.value.has(line.sku_id) && buyable(line)))
  const total = computed(() => sumOf(picked.value))

  function take(basket: { lines: BasketLine[] }): void {
    const fresh = !known.value
    lines.value = basket.lines
    known.value = true
    const there = new Set(basket.lines.map((line) => line.sku_id))
    chosen.value = fresh ? wholeOf(basket.lines) : new Set([...chosen.value].filter((id) => there.has(id)))
  }

  async function load(): Promise<void> {
    take(await getBasket())
  }

  /** More pieces of something. What is in the basket is asked first, so that another device's are counted too. */
  async function add(sku_id: string, quantity: number, found: Found | null): Promise<void> {
    await load()
    const held = lines.value.find((line) => line.sku_id === sku_id)
    take(await putBasketLine(sku_id, { quantity: (held?.quantity ?? 0) + quantity, ...(found ?? {}) }))
    const line = lines.value.find((one) => one.sku_id === sku_id)
    if (line) chosen.value = together(lines.value, chosen.value, line)
  }

  async function set(sku_id: string, quantity: number): Promise<void> {
    take(await putBasketLine(sku_id, { quantity }))
  }

  async function remove(sku_ids: string[]): Promise<void> {
    if (sku_ids.length) take(await takeOutOfBasket(sku_ids))
  }

  function toggle(some: BasketLine[]): void {
    const good = some.filter(buyable)
    const next = new Set(chosen.value)
    if (good.every((line) => next.has(line.sku_id))) {
      for (const line of good) next.delete(line.sku_id)
      chosen.value = next
    } else {
      for (const line of good) chosen.value = together(lines.value, chosen.value, line)
    }
  }

  function forget(): void {
    lines.value = []
    chosen.value = new Set()
    known.value = false
  }

  return { lines, known, chosen, count, picked, total, load, add, set, remove, toggle, forget }
})
