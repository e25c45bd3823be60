/** A viewer's stay in a room: the show, the line to it, and what one can do there. */
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { Refused } from '@/shared/api/ask'
import { getCart, getShow, getTicket, placeOrder } from '@/shared/api/endpoints'
import type { OrderAskLine } from '@/shared/api/types'
import { newId } from '@/shared/ids'
import { timeNow } from '@/shared/now'
import type { PersonalFrame } from '@/shared/room/frames'
import { RoomSocket, type Link } from '@/shared/room/socket'
import { advance, decided, mark, newRoomState, reviewed, say, stand, waits, welcome } from '@/shared/room/state'
import { useSession } from '@/shared/session'
import { explainCode } from '@/shared/refusals'
import { useNotices } from '../notices/notices'
import { toast } from '../parts/toast'

export function useRoom(showId: string, from: { entry: string | null; visit: string | null }) {
  const session = useSession()
  const room = newRoomState()
  const link = ref<Link>('connecting')
  const error = shallowRef<unknown>(null)
  const closedBy = ref<string | null>(null)
  /** What came with the goodbye: the reason, and when one may come back. */
  const closedFacts = shallowRef<Record<string, unknown>>({})
  /** When the viewer spoke last, for slow mode. */
  const spokeAt = ref(0)
  /** Likes of everybody since the last look, for the hearts. */
  const hearts = ref(0)
  /** Who else listens to what is said to this viewer alone. */
  let listener: ((frame: PersonalFrame) => void) | null = null
  let socket: RoomSocket | null = null
  let left = false

  const ended = computed(() => room.show?.state === 'ended' || closedBy.value === 'show-ended')
  const pinned = computed(() => room.cart.find((item) => item.id === room.show?.pinned_item_id && item.on_shelf) ?? null)
  /** What can be bought, the thing being explained first. */
  const cart = computed(() => [...room.cart].sort((one, other) => Number(other.id === pinned.value?.id) - Number(one.id === pinned.value?.id)))

  async function enter(): Promise<void> {
    error.value = null
    try {
      await session.load()
      const show = await getShow(showId)
      if (left) return
      room.show ??= show
      room.viewers ||= show.viewer_count
      if (show.state === 'ended') {
        link.value = 'closed'
        return
      }
      if (room.cart.length === 0) {
        getCart(showId).then((answer) => {
          if (room.cart.length === 0) room.cart = answer.items
        }).catch(() => undefined)
      }
      join()
    } catch (cause) {
      error.value = cause
    }
  }

  /** A connection that broke goes on with its visit; a visit that one comes from and that is of no use is no reason to stay outside. */
  const askIn = (visit: string | null) =>
    visit ? getTicket(showId, { visit }) : from.visit ? getTicket(showId, from).catch(() => getTicket(showId, {})) : getTicket(showId, from)

  function join(): void {
    socket?.stop()
    const mine: RoomSocket = new RoomSocket({
      ticket: () => askIn(mine.visit),
      onLink: (state, code, facts) => {
        if (mine !== socket) return
        link.value = state
        if (state === 'closed') {
          closedBy.value = code ?? null
          closedFacts.value = facts ?? {}
        }
      },
      onWelcome: (frame) => welcome(room, frame),
      onFrames: (frames) => {
        const before = room.likes
        advance(room, frames)
        hearts.value = Math.max(0, room.likes - before)
        if (frames.some((frame) => frame.t === 'show' && frame.state === 'live')) void refresh()
      },
      onPersonal: (frame) => {
        listener?.(frame)
        if (frame.t === 'notice') useNotices().heard(frame)
        if (frame.t === 'sent' || frame.t === 'held') {
          spokeAt.value = timeNow()
          mark(room, frame.re, frame.t === 'held' ? 'held' : undefined)
        }
        if (frame.t === 'reviewed') reviewed(room, frame.re, frame.approved)
        if (frame.t === 'standing') stand(room, frame.you)
        if (frame.t === 'waiting') waits(room, frame.saying)
        if (frame.t === 'decided') decided(room, frame.id)
        if (frame.t === 'refused' && frame.re && room.lines.some((line) => line.id === frame.re)) {
          mark(room, frame.re, 'failed')
          toast(explainCode(frame.code, frame))
        }
      },
    })
    socket = mine
    mine.start()
  }

  /** The show has begun: now there is something to play. */
  async function refresh(): Promise<void> {
    const show = await getShow(showId).catch(() => null)
    if (show) room.show = show
  }

  function chat(text: string): void {
    const id = newId()
    const you = session.me?.account
    say(room, { id, text, from: { id: session.me?.viewer_id ?? '', name: you?.name ?? '' } })
    socket?.chat(id, text)
  }

  /** Over the open line where there is one; over HTTP when the room is not reachable. Same id, same order. */
  async function buy(id: string, line: OrderAskLine): Promise<{ id: string }> {
    if (socket && link.value !== 'closed') {
      const ask = { sku: line.sku_id, item: line.cart_item_id ?? null, qty: line.quantity, price: line.unit_price.amount }
      return socket.buy(id, [ask])
    }
    if (ended.value) throw new Refused('show-ended', 409)
    return placeOrder({ id, show_id: showId, visit: socket?.visit ?? undefined, lines: [line] })
  }

  // A guest who signs in is somebody else to the server: the line is taken up anew, with a new ticket.
  watch(() => session.me?.account?.id, (now, before) => {
    if (now !== before && socket && link.value !== 'closed') join()
  }, { flush: 'sync' })

  onScopeDispose(() => {
    left = true
    socket?.stop()
    socket = null
  })

  void enter()

  return {
    room, link, error, closedBy, closedFacts, spokeAt, hearts, ended, pinned, cart, enter, chat, buy,
    like: () => socket?.like(),
    click: (item: string) => socket?.click(item),
    visit: () => socket?.visit ?? null,
    listen: (heard: (frame: PersonalFrame) => void) => (listener = heard),
  }
}
