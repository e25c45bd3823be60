import { describe, expect, it, vi } from 'vitest'
import { Refused } from '@/shared/api/ask'
import type { CartItem } from '@/shared/api/types'
import type { CartPatch } from '@/console/api'
import { CartEditor, type CartDoor, type Trouble } from '@/console/desk/cart'

const cny = (amount: number) => ({ amount, currency: 'CNY' })

function item(id: string, position: number, more: Partial<CartItem> = {}): CartItem {
  return {
    id, product_id: `p-${id}`, position, title: id.toUpperCase(), image: null, on_shelf: true, pinned: false, explaining_since: null,
    limit_per_person: null, sale_ends_at: null, version: 1,
    skus: [
      { sku_id: `${id}1`, options: {}, price: cny(1000), list_price: null, available: 5, aside: 0 },
      { sku_id: `${id}2`, options: {}, price: cny(2000), list_price: null, available: 0, aside: 0 },
    ],
    ...more,
  }
}

/** A server with one cart, in the hands of the test. */
function setUp() {
  const server = new Map([item('a', 0), item('b', 1), item('c', 2)].map((one) => [one.id, one]))
  const gates: (() => void)[] = []
  const troubles: Trouble[] = []
  const said: { id: string; patch: CartPatch & { expected_version: number } }[] = []
  const state = { held: false, refuse: null as Refused | null }
  const list = () => [...server.values()].sort((one, other) => one.position - other.position).map((one) => structuredClone(one))
  const pass = () => (state.held ? new Promise<void>((go) => gates.push(go)) : Promise.resolve())
  const door: CartDoor = {
    async change(id, patch) {
      said.push({ id, patch })
      await pass()
      if (state.refuse) {
        const refusal = state.refuse
        state.refuse = null
        throw refusal
      }
      const { expected_version, prices, position, ...rest } = patch
      const known = server.get(id)!
      if (expected_version !== known.version) throw new Refused('changed-meanwhile', 409)
      Object.assign(known, rest, { version: known.version + 1 })
      if (prices) known.skus.forEach((sku) => (sku.price = prices.find((one) => one.sku_id === sku.sku_id)!.price))
      if (position !== undefined) {
        const order = list().filter((one) => one.id !== id)
        order.splice(position, 0, known)
        order.forEach((one, at) => Object.assign(server.get(one.id)!, { position: at, version: server.get(one.id)!.version + 1 }))
      }
      return structuredClone(known)
    },
    pin: vi.fn(async (id) => {
      for (const one of server.values()) {
        if (one.pinned !== (one.id === id)) one.version++
        one.pinned = one.id === id
      }
    }),
    remove: async (id) => void server.delete(id),
    reload: async () => list(),
  }
  const editor = new CartEditor(door, (trouble) => troubles.push(trouble))
  editor.load(list())
  return { server, editor, troubles, said, gates, state, door }
}

const ids = (editor: CartEditor) => editor.items.value.map((one) => one.id).join('')
const find = (editor: CartEditor, id: string) => editor.items.value.find((one) => one.id === id)!

describe('an edit', () => {
  it('shows at once and stays when the server takes it', async () => {
    const { editor, gates, state } = setUp()
    state.held = true
    const done = editor.change('a', { on_shelf: false })
    expect(find(editor, 'a').on_shelf).toBe(false)
    expect(editor.busy('a')).toBe(true)
    await vi.waitFor(() => expect(gates).toHaveLength(1))
    gates.shift()!()
    expect(await done).toBe(true)
    expect(find(editor, 'a')).toMatchObject({ on_shelf: false, version: 2 })
    expect(editor.busy('a')).toBe(false)
  })

  it('is taken back when it is refused, and the reason is told', async () => {
    const { editor, state, troubles } = setUp()
    state.refuse = new Refused('show-ended', 409)
    expect(await editor.change('a', { limit_per_person: 2 })).toBe(false)
    expect(find(editor, 'a').limit_per_person).toBeNull()
    expect(troubles).toMatchObject([{ kind: 'refused', item: { id: 'a' } }])
    expect(editor.undos).toHaveLength(0)
  })

  it('says all prices, since the server replaces them all', async () => {
    const { editor, said } = setUp()
    await editor.change('a', { prices: [{ sku_id: 'a1', price: cny(900) }] })
    expect(said[0]!.patch.prices).toEqual([{ sku_id: 'a1', price: cny(900) }, { sku_id: 'a2', price: cny(2000) }])
  })

  it('follows the one before it and names the version that one made', async () => {
    const { editor, said } = setUp()
    await Promise.all([editor.change('a', { on_shelf: false }), editor.change('a', { limit_per_person: 3 })])
    expect(said.map(({ patch }) => patch.expected_version)).toEqual([1, 2])
    expect(find(editor, 'a')).toMatchObject({ on_shelf: false, limit_per_person: 3, version: 3 })
  })

  it('brings the item as it is now when somebody else was faster', async () => {
    const { editor, server, troubles } = setUp()
    Object.assign(server.get('a')!, { version: 7, limit_per_person: 9 })
    expect(await editor.change('a', { on_shelf: false })).toBe(false)
    expect(find(editor, 'a')).toMatchObject({ on_shelf: true, limit_per_person: 9, version: 7 })
    expect(troubles[0]!.kind).toBe('changed-meanwhile')
  })

  it('goes through after a pin, which raises versions too', async () => {
    const { editor, troubles } = setUp()
    await editor.pin('a')
    expect(await editor.change('a', { on_shelf: false })).toBe(true)
    expect(troubles).toHaveLength(0)
  })
})

describe('the order', () => {
  it('changes at once and is the server’s afterwards', async () => {
    const { editor, gates, state } = setUp()
    state.held = true
    const done = editor.move('a', 2)
    expect(ids(editor)).toBe('bca')
    await vi.waitFor(() => expect(gates).toHaveLength(1))
    gates.shift()!()
    await done
    expect(ids(editor)).toBe('bca')
  })

  it('stays within the list and does nothing for the same place', async () => {
    const { editor, said } = setUp()
    await editor.move('b', 99)
    expect(ids(editor)).toBe('acb')
    expect(await editor.move('b', 2)).toBe(false)
    expect(said).toHaveLength(1)
  })
})

describe('undo', () => {
  it('takes the last edits back in turn', async () => {
    const { editor } = setUp()
    await editor.change('a', { prices: [{ sku_id: 'a1', price: cny(1) }] })
    await editor.move('c', 0)
    await editor.undo()
    expect(ids(editor)).toBe('abc')
    await editor.undo()
    expect(find(editor, 'a').skus[0]!.price.amount).toBe(1000)
    expect(await editor.undo()).toBeNull()
  })
})

describe('news from the room', () => {
  it('does not go back to an older version', () => {
    const { editor } = setUp()
    editor.learn(item('a', 0, { version: 5, limit_per_person: 1 }))
    editor.learn(item('a', 0, { version: 4 }))
    expect(find(editor, 'a').limit_per_person).toBe(1)
  })

  it('changes stock where the SKU is, and drops what is gone', () => {
    const { editor } = setUp()
    editor.stock('b1', 2)
    expect(find(editor, 'b').skus[0]!.available).toBe(2)
    editor.forget('b')
    expect(ids(editor)).toBe('ac')
  })
})

describe('pinning', () => {
  it('goes on to the next item on the shelf with pieces left, round the list', async () => {
    const { editor, server } = setUp()
    server.get('b')!.skus[0]!.available = 0
    editor.stock('b1', 0)
    expect(editor.next()!.id).toBe('a')
    await editor.pin('a')
    expect(editor.next()!.id).toBe('c')
    await editor.change('c', { on_shelf: false })
    expect(editor.next()).toBeNull()
  })

  it('comes back when it is refused', async () => {
    const { editor, door, troubles } = setUp()
    await editor.pin('a')
    vi.mocked(door.pin).mockRejectedValueOnce(new Refused('show-ended', 409))
    expect(await editor.pin('b')).toBe(false)
    expect(editor.pinned.value).toBe('a')
    expect(troubles).toHaveLength(1)
  })
})
