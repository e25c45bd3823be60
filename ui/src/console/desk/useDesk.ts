/**
 * Everything the live desk knows about one show, from three sources: the HTTP reads, the room's socket, and our own
 * edits. The socket brings news; what it may leave out (sums under a flood, stream health) is read again now and then.
 */
import { computed, onScopeDispose, reactive, ref, shallowRef } from 'vue'
import { Refused } from '@/shared/api/ask'
import type { Show } from '@/shared/api/types'
import { newId } from '@/shared/ids'
import type { PersonalFrame, RoomFrame } from '@/shared/room/frames'
import { RoomSocket, type Link } from '@/shared/room/socket'
import { advance, decided, mark, newRoomState, reviewed, say, stand, waits, welcome } from '@/shared/room/state'
import {
  changeCartItem, endShow, getIngest, getSales, getShow, getTicket, listCart, listOrders, pinItem, removeCartItem, startShow,
  type IngestStats,
} from '../api'
import { useShop } from '../shop'
import { CartEditor, type Trouble } from './cart'
import { merge, readBoard, since, type Board } from '../board/board'
import { curveOf, keepCurve, recallCurve, sawOrder, sawPin, sawViewers } from './curve'
import { count, newDesk, paid, recall, saleOfFrame, saleOfOrder, sold, soldMore, type SaleBrief } from './sales'

const SALES_EVERY_MS = 15_000
const STATS_EVERY_MS = 3_000
const NO_STATS_EVERY_MS = 8_000
const CART_EVERY_MS = 10_000
const CURVE_EVERY_MS = 30_000
const CURVE_KEEP_MS = 5_000
const MORE_SALES_WAIT_MS = 1_200
const NEWS_EVERY_MS = 250
const RECALLED_MAX = 100

export function useDesk(showId: string, onTrouble: (trouble: Trouble) => void) {
  const shop = useShop()
  const show = shallowRef<Show | null>(null)
  const error = shallowRef<unknown>(null)
  const link = ref<Link>('connecting')
  const room = newRoomState()
  const stats = shallowRef<IngestStats | null>(null)
  const sales = shallowRef(newDesk(shop.currency))
  const curve = shallowRef(recallCurve(showId))
  let board: Board | null = null
  const cartReady = ref(false)
  const foreign = ref(false)
  const flags = reactive({ stats: true, sales: shop.may('orders'), closed: false })
  const timers = new Map<string, ReturnType<typeof setTimeout>>()
  const waiting: (() => void)[] = []
  let socket: RoomSocket | null = null

  const editor = new CartEditor(
    {
      change: changeCartItem,
      pin: (id) => pinItem(showId, id),
      remove: removeCartItem,
      reload: async () => (await listCart(showId)).items,
    },
    onTrouble,
  )
  const live = computed(() => show.value?.state === 'live')
  const over = computed(() => show.value?.state === 'ended')

  async function open(): Promise<void> {
    error.value = null
    try {
      const [gotShow, cart] = await Promise.all([getShow(showId), listCart(showId)])
      if (flags.closed) return
      show.value = gotShow
      if (!(await takeSeat(gotShow))) return
      room.viewers = gotShow.viewer_count
      editor.load(cart.items)
      cartReady.value = true
      const pinned = cart.items.find((item) => item.pinned && item.explaining_since)
      if (pinned) curve.value = sawPin(curve.value, Date.parse(pinned.explaining_since!), pinned.title)
    } catch (cause) {
      error.value = cause
      return
    }
    void readSales()
    void recallOrders()
    void readCurve()
    void readStats()
    if (!over.value) connect()
    every('curve', CURVE_KEEP_MS, async () => {
      if (link.value === 'open') sawCount(room.viewers)
      keepCurve(showId, curve.value)
    })
  }

  /** Work for the show's shop; whoever has no seat for its shows there, and does not stream it, has no desk here. */
  async function takeSeat(shown: Show): Promise<boolean> {
    const seat = shop.seats.find((one) => one.shop_id === shown.shop_id && one.scopes.includes('show'))
    foreign.value = !seat && shown.streamer.id !== shop.ownId
    if (seat && shop.id !== shown.shop_id) await shop.choose(shown.shop_id)
    return !foreign.value
  }

  function connect(): void {
    socket?.stop()
    socket = new RoomSocket({
      ticket: () => getTicket(showId),
      onLink: (state) => {
        link.value = state
        if (state === 'closed' && !over.value) every('cart', CART_EVERY_MS, reread)
        else stop('cart')
      },
      onWelcome: (frame) => {
        catchUp()
        show.value = frame.show
        welcome(room, frame)
        editor.load(frame.cart)
        sawCount(frame.counts.viewers)
      },
      onFrames: (frames) => soon(() => take(frames)),
      onPersonal: (frame) => (frame.t.startsWith('sale') ? soon(() => hear(frame)) : hear(frame)),
    })
    socket.start()
  }

  /** A crowd's news is drawn together: this page may be the show's camera, whose pictures share its thread. */
  function soon(act: () => void): void {
    waiting.push(act)
    if (!timers.has('news')) later('news', NEWS_EVERY_MS, catchUp)
  }

  function catchUp(): void {
    stop('news')
    for (const act of waiting.splice(0)) act()
  }

  function take(frames: RoomFrame[]): void {
    advance(room, frames)
    for (const frame of frames) {
      if (frame.t === 'item') {
        const { t: _, ...item } = frame
        editor.learn(item)
      } else if (frame.t === 'gone') editor.forget(frame.item)
      else if (frame.t === 'stock') editor.stock(frame.sku, frame.available)
      else if (frame.t === 'counts') sawCount(frame.viewers)
      else if (frame.t === 'pin') {
        editor.tellPin(frame.item)
        const item = editor.items.value.find((known) => known.id === frame.item)
        if (item) curve.value = sawPin(curve.value, frame.at ? Date.parse(frame.at) : Date.now(), item.title)
      } else if (frame.t === 'show') void refresh()
    }
  }

  function hear(frame: PersonalFrame): void {
    switch (frame.t) {
      case 'sale': {
        const sale = saleOfFrame(frame.order as unknown as SaleBrief)
        const before = sales.value
        sales.value = sold(before, sale)
        if (sales.value !== before) curve.value = sawOrder(curve.value, Date.parse(sale.placed_at), sale.total.amount)
        break
      }
      case 'sales_more':
        sales.value = soldMore(sales.value, frame.n)
        for (let n = 0; n < frame.n; n++) curve.value = sawOrder(curve.value, Date.now(), 0)
        later('sales', MORE_SALES_WAIT_MS, () => void readSales())
        break
      case 'sale_paid':
        sales.value = paid(sales.value, frame.order)
        break
      case 'refused':
        if (frame.re) mark(room, frame.re, 'failed')
        break
      case 'sent':
        mark(room, frame.re, undefined)
        break
      case 'ingest_refused':
        void readStats()
        break
      case 'held':
        mark(room, frame.re, 'held')
        break
      case 'reviewed':
        reviewed(room, frame.re, frame.approved)
        break
      case 'standing':
        stand(room, frame.you)
        break
      case 'waiting':
        waits(room, frame.saying)
        break
      case 'decided':
        decided(room, frame.id)
        break
    }
  }

  function sawCount(viewers: number): void {
    if (live.value) curve.value = sawViewers(curve.value, Date.now(), viewers)
  }

  async function refresh(): Promise<void> {
    const before = show.value?.state
    show.value = await getShow(showId).catch(() => show.value)
    if (show.value?.state === 'ended' && before !== 'ended') {
      socket?.stop()
      void readSales()
    }
  }

  async function reread(): Promise<void> {
    editor.load((await listCart(showId)).items)
    await refresh()
  }

  async function readSales(): Promise<void> {
    if (!flags.sales || show.value?.state === 'scheduled') return later('sales', SALES_EVERY_MS, () => void readSales())
    try {
      const answer = await getSales(showId) // read first: orders may come in while we wait
      sales.value = count(sales.value, answer)
    } catch {
      // The figures stay as they are; the next reading is soon.
    }
    if (live.value) later('sales', SALES_EVERY_MS, () => void readSales())
  }

  /** From the show's first minute on; between two readings the frames carry the line on. */
  async function readCurve(): Promise<void> {
    if (show.value?.started_at) {
      const answer = await readBoard(showId, since(board)).catch(() => null)
      if (answer) {
        board = merge(board, answer)
        curve.value = curveOf(board)
      }
    }
    if (!over.value && !flags.closed) later('board', CURVE_EVERY_MS, () => void readCurve())
  }

  async function recallOrders(): Promise<void> {
    if (!flags.sales) return
    const { items } = await listOrders(shop.id, { limit: RECALLED_MAX }).catch(() => ({ items: [] }))
    const own = items.filter((order) => order.show_id === showId)
    sales.value = recall(sales.value, own.map(saleOfOrder))
    const whole = own.length < items.length || items.length < RECALLED_MAX
    if (whole && curve.value.minutes.length === 0) {
      for (const order of own) curve.value = sawOrder(curve.value, Date.parse(order.placed_at), order.total.amount)
    }
  }

  async function readStats(): Promise<void> {
    if (over.value) return
    try {
      stats.value = await getIngest(showId)
    } catch (cause) {
      flags.stats = !(cause instanceof Refused && cause.status >= 400 && cause.status < 500)
    }
    if (flags.stats && !flags.closed) later('stats', stats.value?.state === 'live' ? STATS_EVERY_MS : NO_STATS_EVERY_MS, () => void readStats())
    if (stats.value?.state === 'live' && live.value && !show.value?.playback) void refresh()
  }

  async function start(): Promise<void> {
    show.value = await startShow(showId)
    if (link.value === 'closed') connect()
    void readSales()
    void readStats()
  }

  async function end(): Promise<void> {
    show.value = await endShow(showId)
    socket?.stop()
    void readSales()
  }

  function speak(text: string): void {
    const you = room.you
    if (!socket || !you) return
    const id = newId()
    say(room, { id, text, from: { id: you.viewer_id, name: you.name ?? '' } })
    socket.chat(id, text)
  }

  function later(name: string, wait: number, act: () => void): void {
    stop(name)
    if (!flags.closed) timers.set(name, setTimeout(act, wait))
  }

  function every(name: string, wait: number, act: () => Promise<void>): void {
    later(name, wait, () => void act().catch(() => undefined).finally(() => timers.has(name) && every(name, wait, act)))
  }

  function stop(name: string): void {
    clearTimeout(timers.get(name))
    timers.delete(name)
  }

  onScopeDispose(() => {
    flags.closed = true
    keepCurve(showId, curve.value)
    socket?.stop()
    for (const name of [...timers.keys()]) stop(name)
  })

  return { show, error, link, room, stats, sales, curve, editor, cartReady, foreign, live, over, open, reread, start, end, speak }
}

export type DeskState = ReturnType<typeof useDesk>
