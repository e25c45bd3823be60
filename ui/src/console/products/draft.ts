/** A product while it is being edited: option columns, SKU rows, and what must be sent to make it so. */
import type { Money, Options } from '@/shared/api/types'
import { newId } from '@/shared/ids'
import type { ProductForm, ShopProduct, SkuForm } from '../api'

export interface SkuRow {
  id: string; fresh: boolean; code: string; values: string[]; price: number | null; listPrice: number | null
  stock: number | null; available: number; state: string; weight: number | null; gap: string | null; crossed: Money | null
}
export interface Draft extends ProductForm { columns: string[]; rows: SkuRow[] }

export function newDraft(): Draft {
  return { title: '', description: '', images: [], category: '', tax_bps: 0, shipping_template_id: null, brand_id: null, columns: [], rows: [newRow([])] }
}

export function newRow(columns: string[]): SkuRow {
  return {
    id: newId(), fresh: true, code: '', values: columns.map(() => ''), price: null, listPrice: null, stock: null, available: 0, state: 'active',
    weight: null, gap: null, crossed: null,
  }
}

export function draftOf(product: ShopProduct): Draft {
  const columns = [...new Set(product.skus.flatMap((sku) => Object.keys(sku.options)))]
  return {
    title: product.title,
    description: product.description,
    images: [...product.images],
    category: product.category,
    tax_bps: product.tax_bps,
    shipping_template_id: product.shipping_template_id,
    brand_id: product.brand_id,
    columns,
    rows: product.skus.map((sku) => ({
      id: sku.id,
      fresh: false,
      code: sku.code,
      values: columns.map((column) => sku.options[column] ?? ''),
      price: sku.price.amount,
      listPrice: sku.own_list_price?.typed.amount ?? null,
      stock: null,
      available: sku.available,
      state: sku.state,
      weight: sku.weight_grams || null,
      gap: sku.own_list_price?.gap ?? null,
      crossed: sku.list_price,
    })),
  }
}

export function optionsOf(columns: string[], row: SkuRow): Options {
  const options: Options = {}
  columns.forEach((column, index) => {
    const value = row.values[index]?.trim()
    if (column.trim() && value) options[column.trim()] = value
  })
  return options
}

/** What is missing before the draft can be saved; the keys are words in the catalogue. */
export function missing(draft: Draft): string[] {
  const gaps: string[] = []
  if (!draft.title.trim()) gaps.push('title')
  if (draft.rows.some((row) => row.price === null || row.price <= 0)) gaps.push('price')
  if (draft.rows.some((row) => row.listPrice !== null && row.price !== null && row.listPrice < row.price)) gaps.push('listPrice')
  const choices = draft.rows.filter((row) => row.state === 'active').map((row) => JSON.stringify(optionsOf(draft.columns, row)))
  if (new Set(choices).size < choices.length) gaps.push('options')
  return gaps
}

export function formOf(draft: Draft): ProductForm {
  return {
    title: draft.title.trim(),
    description: draft.description.trim(),
    images: draft.images.map((image) => image.trim()).filter(Boolean),
    category: draft.category.trim(),
    tax_bps: draft.tax_bps,
    shipping_template_id: draft.shipping_template_id,
    brand_id: draft.brand_id,
  }
}

export function skuFormOf(draft: Draft, row: SkuRow, currency: string): SkuForm {
  const money = (amount: number): Money => ({ amount, currency })
  return {
    code: row.code.trim() || row.id.slice(-8).toUpperCase(),
    options: optionsOf(draft.columns, row),
    price: money(row.price ?? 0),
    list_price: row.listPrice === null ? null : money(row.listPrice),
    weight_grams: row.weight ?? 0,
  }
}

/** The rows that differ from what the server has. */
export function changedRows(draft: Draft, product: ShopProduct): SkuRow[] {
  const before = draftOf(product)
  return draft.rows.filter((row) => {
    if (row.fresh) return true
    const old = before.rows.find((known) => known.id === row.id)!
    return (
      old.code !== row.code || old.price !== row.price || old.listPrice !== row.listPrice || old.state !== row.state || old.weight !== row.weight ||
      JSON.stringify(optionsOf(before.columns, old)) !== JSON.stringify(optionsOf(draft.columns, row))
    )
  })
}

export function formDiffers(draft: Draft, product: ShopProduct): boolean {
  return JSON.stringify(formOf(draft)) !== JSON.stringify(formOf(draftOf(product)))
}
