/** What is offered for sale on a sheet: a cart item of a show, or a product of the shelf. And the rules of choosing. */
import type { CartItem, CartSku, GroupOffer, Money, Options, Product, Promised } from '@/shared/api/types'
import { limitOf, waits } from '@/shared/promise'

export interface Offer {
  item_id: string | null
  product_id: string
  title: string
  image: string | null
  on_shelf: boolean
  limit: number | null
  skus: CartSku[]
  promised: Promised | null
  /** The next wave has not begun. */
  waits: boolean
}

export const QUANTITY_MAX = 99

export function offerOfItem(item: CartItem): Offer {
  return {
    item_id: item.id, product_id: item.product_id, title: item.title, image: item.image, on_shelf: item.on_shelf,
    limit: limitOf(item), skus: item.skus, promised: item.promise ?? null, waits: waits(item),
  }
}

export function offerOfProduct(product: Product): Offer {
  return {
    item_id: null, product_id: product.id, title: product.title, image: product.images[0] ?? null, on_shelf: product.state === 'listed',
    limit: null, skus: product.skus.filter((sku) => sku.state === 'active').map((sku) => ({ sku_id: sku.id, ...sku, aside: 0 })),
    promised: null, waits: false,
  }
}

/** What a team buys: at the team's price, the shelf's crossed beside it. */
export function offerOfGroup(group: GroupOffer): Offer {
  return {
    item_id: null, product_id: group.product_id, title: group.title, image: group.image, on_shelf: true, limit: group.limit_per_person,
    skus: group.skus.map((sku) => ({ sku_id: sku.sku_id, options: sku.options, price: sku.price, list_price: sku.list_price, available: sku.available, aside: 0 })),
    promised: null, waits: false,
  }
}

export function cheapest(skus: CartSku[]): CartSku | undefined {
  const inStock = skus.filter((sku) => sku.available > 0)
  return [...(inStock.length > 0 ? inStock : skus)].sort((one, other) => one.price.amount - other.price.amount)[0]
}

export function priceVaries(skus: CartSku[]): boolean {
  return new Set(skus.map((sku) => sku.price.amount)).size > 1
}

export function available(skus: CartSku[]): number {
  return skus.reduce((sum, sku) => sum + sku.available, 0)
}

export interface OptionGroup { name: string; values: string[] }

/** 颜色: 砖红 藏青 · 尺码: 110 120 130, in the order the shop lists them. */
export function optionGroups(skus: CartSku[]): OptionGroup[] {
  const groups = new Map<string, Set<string>>()
  for (const sku of skus) {
    for (const [name, value] of Object.entries(sku.options)) {
      if (!groups.has(name)) groups.set(name, new Set())
      groups.get(name)!.add(value)
    }
  }
  return [...groups].map(([name, values]) => ({ name, values: [...values] }))
}

/** The SKU meant by a complete choice. */
export function chosenSku(skus: CartSku[], choice: Options): CartSku | null {
  const groups = optionGroups(skus)
  if (groups.some(({ name }) => choice[name] === undefined)) return null
  return skus.find((sku) => groups.every(({ name }) => sku.options[name] === choice[name])) ?? null
}

/** Whether a value still leads to something in stock, given what else is chosen. */
export function canChoose(skus: CartSku[], choice: Options, name: string, value: string): boolean {
  return skus.some((sku) => sku.available > 0 && sku.options[name] === value
    && Object.entries(choice).every(([other, chosen]) => other === name || sku.options[other] === chosen))
}

/** Where only one thing is left to choose, it is chosen; what someone must decide is left to them. */
export function firstChoice(skus: CartSku[]): Options {
  const inStock = skus.filter((sku) => sku.available > 0)
  if (inStock.length === 1) return { ...inStock[0]!.options }
  const choice: Options = {}
  for (const { name, values } of optionGroups(skus)) {
    const left = values.filter((value) => inStock.some((sku) => sku.options[name] === value))
    if (left.length === 1) choice[name] = left[0]!
  }
  return choice
}

export function quantityMax(offer: Offer, sku: CartSku | null): number {
  return Math.max(1, Math.min(QUANTITY_MAX, offer.limit ?? QUANTITY_MAX, sku?.available ?? QUANTITY_MAX))
}

/** Whole minor units only: a price times a count. */
export function times(money: Money, quantity: number): Money {
  return { amount: money.amount * quantity, currency: money.currency }
}

export function optionsText(options: Options): string {
  return Object.values(options).join(' · ')
}
