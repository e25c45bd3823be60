/**
 * The room's socket: ticket → hello → welcome → batches by version → resync on a gap.
 *
 * It promises its callers: a lost connection comes back by itself (jittered backoff, resuming from the last version),
 * also one that has fallen silent; a
 * buy or a chat line that was under way is sent again with the same id, so it happens once; a buy's promise always
 * settles, with the order or with a `Refused`; what the server takes back for good (`bye`) ends the socket with its code.
 * What the frames mean to the screen is left to `state.ts`.
 */
import { Refused } from '../api/ask'
import type { Ticket } from '../api/types'
import type { BuyLine, OrderBrief, PersonalFrame, RoomFrame, ServerFrame, WelcomeFrame } from './frames'

export type Link = 'connecting' | 'open' | 'reconnecting' | 'closed'

export interface RoomSocketOptions {
  /** A fresh ticket for every connection: tickets serve once. */
  ticket: () => Promise<Ticket>
  onLink: (link: Link, code?: string, facts?: Record<string, unknown>) => void
  onWelcome: (frame: WelcomeFrame) => void
  onFrames: (frames: RoomFrame[]) => void
  onPersonal?: (frame: PersonalFrame) => void
  /** For tests. */
  open?: (url: string) => WebSocket
  random?: () => number
}

const BACKOFF_MIN_MS = 500
const BACKOFF_MAX_MS = 15_000
const WELCOME_WAIT_MS = 10_000
/** A buy without an answer this long means the line is dead, whatever the browser thinks. */
const ANSWER_WAIT_MS = 5_000
/** After this long the buyer is told; the order id stays good for another try. */
const BUY_WAIT_MS = 30_000
/** The server answers every beat. A line that is silent for so many of them is dead, whatever the browser thinks. */
const SILENT_BEATS_MAX = 2.5
const LIKE_FLUSH_MS = 400
const LIKES_PER_FRAME_MAX = 50
const UNSENT_CHAT_MAX = 20

/** Closings after which knocking again would be rude or useless. */
const FINAL = new Set(['show-ended', 'banned', 'kicked', 'forbidden', 'not-found', 'replaced'])

interface PendingBuy {
  frame: string
  resolve: (order: OrderBrief) => void
  reject: (refusal: Refused) => void
  deadline: ReturnType<typeof setTimeout>
}

export class RoomSocket {
  /** The visit's token: HTTP acts name it so that they are credited to where the viewer came from. */
  visit: string | null = null

  private socket: WebSocket | null = null
  private version: number | null = null
  private welcomed = false
  private resyncing = false
  private stopped = false
  private attempts = 0
  private likes = 0
  private beatMs = 10_000
  private buys = new Map<string, PendingBuy>()
  private chats = new Map<string, string>()
  private timers = new Map<string, ReturnType<typeof setTimeout>>()
  private readonly random: () => number

  constructor(private readonly options: RoomSocketOptions) {
    this.random = options.random ?? Math.random
  }

  start(): void {
    document.addEventListener('visibilitychange', this.onVisibility)
    window.addEventListener('online', this.onOnline)
    window.addEventListener('offline', this.onOffline)
    this.options.onLink('connecting')
    void this.connect()
  }

  stop(): void {
    this.finish('left')
  }

  /** Buys over the open line. The promise settles once: with the order, or with a refusal. */
  buy(id: string, lines: BuyLine[]): Promise<OrderBrief> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new Refused('show-ended', 409))
      const frame = JSON.stringify({ t: 'buy', id, lines })
      const deadline = setTimeout(() => this.settle(id)?.reject(new Refused('no-answer', 0)), BUY_WAIT_MS)
      this.buys.set(id, { frame, resolve, reject, deadline })
      if (this.welcomed) this.post(frame)
      this.watchAnswers()
    })
  }

  /** Sends a line; the caller shows it at once under the same id. Kept until the server says `sent`. */
  chat(id: string, text: string): void {
    const frame = JSON.stringify({ t: 'chat', id, text })
    if (this.chats.size >= UNSENT_CHAT_MAX) this.chats.delete(this.chats.keys().next().value!)
    this.chats.set(id, frame)
    if (this.welcomed) this.post(frame)
  }

  /** Taps are merged: many hearts, few frames. */
  like(): void {
    this.likes++
    if (!this.timers.has('likes')) this.later('likes', LIKE_FLUSH_MS, () => this.flushLikes())
  }

  click(item: string): void {
    if (this.welcomed) this.post(JSON.stringify({ t: 'click', item }))
  }

  private async connect(): Promise<void> {
    let ticket: Ticket
    try {
      ticket = await this.options.ticket()
    } catch (error) {
      if (this.stopped) return
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && error.status !== 429) {
        return this.finish(error.code, error.facts)
      }
      return this.again()
    }
    if (this.stopped) return
    this.visit = ticket.visit
    const origin = location.origin.replace(/^http/, 'ws')
    const url = new URL(ticket.ws_path, origin).href
    const socket = (this.options.open ?? ((url) => new WebSocket(url)))(url)
    this.socket = socket
    this.welcomed = false
    this.resyncing = false
    socket.onopen = () => {
      const resume = this.version === null ? null : { v: this.version }
      this.post(JSON.stringify({ t: 'hello', ticket: ticket.ticket, resume }))
      this.later('welcome', WELCOME_WAIT_MS, () => socket.close())
    }
    socket.onmessage = (event) => {
      if (this.socket !== socket) return
      this.receive(JSON.parse(String(event.data)) as ServerFrame)
      if (this.socket === socket) this.heard()
    }
    socket.onclose = () => {
      if (this.socket === socket) this.again()
    }
  }

  private receive(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.version = frame.v
        this.resyncing = false
        this.beatMs = (frame.beat_s || 10) * 1000
        this.options.onWelcome(frame)
        return this.arrived()
      case 'batch':
        return this.receiveBatch(frame.v, frame.from, frame.f)
      case 'bye':
        if (FINAL.has(frame.code)) return this.finish(frame.code, { reason: frame.reason, until: frame.until })
        this.socket?.close()
        return
      case 'order':
        this.settle(frame.re)?.resolve(frame.order)
        break
      case 'refused':
        this.receiveRefusal(frame)
        break
      case 'sent':
      case 'held':
        this.chats.delete(frame.re)
        break
      case 'beat':
        return
    }
    this.options.onPersonal?.(frame)
  }

  private receiveBatch(to: number, from: number, frames: RoomFrame[]): void {
    if (this.version === null) return
    if (to <= this.version) {
      if (to === this.version && !this.welcomed) this.arrived() // resumed, and nothing was missed
      return
    }
    if (from > this.version) {
      if (this.resyncing) return
      this.resyncing = true
      return this.post(JSON.stringify({ t: 'resync' }))
    }
    if (this.resyncing) return
    this.version = to
    if (!this.welcomed) this.arrived() // a resumed line goes on where it was, without a new welcome
    this.options.onFrames(frames)
  }

  private receiveRefusal({ re, code, title, ...rest }: PersonalFrame & { t: 'refused' }): void {
    if (re === null) return
    this.chats.delete(re)
    const { t: _, ...facts } = rest
    this.settle(re)?.reject(new Refused(code, 409, facts, title))
  }

  private arrived(): void {
    this.clear('welcome')
    if (this.welcomed) return
    this.welcomed = true
    this.attempts = 0
    this.options.onLink('open')
    for (const { frame } of this.buys.values()) this.post(frame)
    for (const frame of this.chats.values()) this.post(frame)
    this.watchAnswers()
    this.beat()
  }

  private again(): void {
    this.socket = null
    this.welcomed = false
    for (const name of ['welcome', 'beat', 'answer', 'silence']) this.clear(name)
    if (this.stopped) return
    this.options.onLink(this.version === null ? 'connecting' : 'reconnecting')
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.attempts++)
    this.later('connect', ceiling * (0.5 + this.random() / 2), () => void this.connect())
  }

  private finish(code: string, facts: Record<string, unknown> = {}): void {
    if (this.stopped) return
    this.stopped = true
    document.removeEventListener('visibilitychange', this.onVisibility)
    window.removeEventListener('online', this.onOnline)
    window.removeEventListener('offline', this.onOffline)
    for (const name of [...this.timers.keys()]) this.clear(name)
    for (const id of [...this.buys.keys()]) {
      this.settle(id)?.reject(new Refused(code === 'left' ? 'no-answer' : code, code === 'left' ? 0 : 409))
    }
    const socket = this.socket
    this.socket = null
    socket?.close()
    this.options.onLink('closed', code, facts)
  }

  private beat(): void {
    this.post(JSON.stringify({ t: 'beat', visible: document.visibilityState === 'visible', v: this.version }))
    this.later('beat', this.beatMs, () => this.beat())
  }

  /** Silence counts only while somebody looks: a hidden page is put to sleep by its browser and hears late. */
  private heard(): void {
    this.later('silence', SILENT_BEATS_MAX * this.beatMs, () => {
      if (document.visibilityState === 'visible') this.drop()
    })
  }

  private flushLikes(): void {
    if (!this.welcomed || this.likes === 0) return
    const n = Math.min(this.likes, LIKES_PER_FRAME_MAX)
    this.likes = 0
    this.post(JSON.stringify({ t: 'like', n }))
  }

  private watchAnswers(): void {
    if (this.buys.size === 0 || !this.welcomed) return
    this.later('answer', ANSWER_WAIT_MS, () => {
      if (this.buys.size > 0) this.drop()
    })
  }

  /** Gives the line up without waiting for its goodbye: a dead line never says one. */
  private drop(): void {
    const socket = this.socket
    this.socket = null
    socket?.close()
    this.again()
  }

  private settle(id: string): PendingBuy | undefined {
    const pending = this.buys.get(id)
    if (!pending) return undefined
    clearTimeout(pending.deadline)
    this.buys.delete(id)
    if (this.buys.size === 0) this.clear('answer')
    return pending
  }

  private post(frame: string): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(frame)
  }

  private later(name: string, delayMs: number, act: () => void): void {
    this.clear(name)
    this.timers.set(name, setTimeout(() => {
      this.timers.delete(name)
      act()
    }, delayMs))
  }

  private clear(name: string): void {
    clearTimeout(this.timers.get(name))
    this.timers.delete(name)
  }

  private readonly onVisibility = (): void => {
    if (!this.welcomed) return
    this.beat()
    this.heard()
  }

  /** A line without a network is dead, and its socket would not say so for minutes. */
  private readonly onOffline = (): void => {
    if (this.socket) this.drop()
  }

  private readonly onOnline = (): void => {
    if (!this.welcomed && this.timers.has('connect')) {
      this.clear('connect')
      this.attempts = 0
      void this.connect()
    }
  }
}
