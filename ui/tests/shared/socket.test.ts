import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refused } from '@/shared/api/ask'
import type { RoomFrame, WelcomeFrame } from '@/shared/room/frames'
import { RoomSocket, type Link } from '@/shared/room/socket'

/** The other end of the line, in the hands of the test. */
class Line {
  static all: Line[] = []
  readyState: number = WebSocket.CONNECTING
  heard: Record<string, unknown>[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: (() => void) | null = null
  constructor(readonly url: string) {
    Line.all.push(this)
  }
  open() {
    this.readyState = WebSocket.OPEN
    this.onopen?.()
  }
  say(frame: unknown) {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  send(frame: string) {
    this.heard.push(JSON.parse(frame))
  }
  close() {
    if (this.readyState === WebSocket.CLOSED) return
    this.readyState = WebSocket.CLOSED
    this.onclose?.()
  }
  of(t: string) {
    return this.heard.filter((frame) => frame.t === t)
  }
  static get last() {
    return Line.all.at(-1)!
  }
}

const WELCOME = {
  t: 'welcome', v: 10, you: { viewer_id: 'me', name: 'Lin' }, show: { id: 's' }, cart: [], chat: [],
  counts: { viewers: 3, likes: 9 }, beat_s: 10,
} as unknown as WelcomeFrame
const LINES = [{ sku: 'k', item: 'i', qty: 1, price: 1999 }]

function setUp(ticket = vi.fn(async () => ({ ticket: 'T', visit: 'V', ws_path: '/ws', expires_at: '' }))) {
  const links: Link[] = []
  const codes: (string | undefined)[] = []
  const frames: RoomFrame[] = []
  const welcomes: WelcomeFrame[] = []
  const socket = new RoomSocket({
    ticket,
    onLink: (link, code) => (links.push(link), codes.push(code)),
    onWelcome: (frame) => welcomes.push(frame),
    onFrames: (batch) => frames.push(...batch),
    open: (url) => new Line(url) as unknown as WebSocket,
    random: () => 1,
  })
  return { socket, ticket, links, codes, frames, welcomes }
}

async function enter(room: ReturnType<typeof setUp>) {
  room.socket.start()
  await vi.advanceTimersByTimeAsync(0)
  Line.last.open()
  Line.last.say(WELCOME)
}

const viewers = (n: number): RoomFrame => ({ t: 'counts', viewers: n, likes: 0 })

beforeEach(() => {
  vi.useFakeTimers()
  Line.all = []
})
afterEach(() => vi.useRealTimers())

describe('entering', () => {
  it('says hello with the ticket in the first frame and never in the address', async () => {
    const room = setUp()
    await enter(room)
    expect(Line.last.url).not.toContain('T')
    expect(Line.last.heard[0]).toEqual({ t: 'hello', ticket: 'T', resume: null })
    expect(room.links).toEqual(['connecting', 'open'])
    expect(room.socket.visit).toBe('V')
  })

  it('ends when the server has no ticket for this viewer', async () => {
    const room = setUp(vi.fn(async () => { throw new Refused('banned', 403) }))
    room.socket.start()
    await vi.advanceTimersByTimeAsync(0)
    expect(room.links.at(-1)).toBe('closed')
    expect(room.codes.at(-1)).toBe('banned')
  })

  it('goes on knocking while the server is away', async () => {
    const ticket = vi.fn(async () => { throw new Refused('offline', 0) })
    const room = setUp(ticket as never)
    room.socket.start()
    await vi.advanceTimersByTimeAsync(4_000)
    expect(ticket.mock.calls.length).toBeGreaterThanOrEqual(3)
    expect(new Set(room.links)).toEqual(new Set(['connecting']))
  })
})

describe('versions', () => {
  it('hands on batches that follow each other', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'batch', from: 10, v: 12, f: [viewers(4), viewers(5)] })
    Line.last.say({ t: 'batch', from: 12, v: 13, f: [viewers(6)] })
    expect(room.frames).toHaveLength(3)
    expect(Line.last.of('resync')).toHaveLength(0)
  })

  it('asks once for a resync on a gap and shows nothing until the new welcome', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'batch', from: 12, v: 13, f: [viewers(4)] })
    Line.last.say({ t: 'batch', from: 13, v: 14, f: [viewers(5)] })
    expect(room.frames).toHaveLength(0)
    expect(Line.last.of('resync')).toHaveLength(1)
    Line.last.say({ ...WELCOME, v: 14 })
    Line.last.say({ t: 'batch', from: 14, v: 15, f: [viewers(6)] })
    expect(room.welcomes).toHaveLength(2)
    expect(room.frames).toHaveLength(1)
  })

  it('does not count a batch twice', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'batch', from: 10, v: 11, f: [viewers(4)] })
    Line.last.say({ t: 'batch', from: 10, v: 11, f: [viewers(4)] })
    expect(room.frames).toHaveLength(1)
  })
})

describe('a lost line', () => {
  it('comes back with a fresh ticket and resumes from the last version', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'batch', from: 10, v: 11, f: [viewers(4)] })
    Line.last.close()
    expect(room.links.at(-1)).toBe('reconnecting')
    await vi.advanceTimersByTimeAsync(600)
    Line.last.open()
    expect(room.ticket).toHaveBeenCalledTimes(2)
    expect(Line.last.heard[0]).toEqual({ t: 'hello', ticket: 'T', resume: { v: 11 } })
    Line.last.say({ t: 'batch', from: 11, v: 12, f: [viewers(5)] })
    expect(room.links.at(-1)).toBe('open')
    expect(room.frames).toHaveLength(2)
  })

  it('waits longer each time, within bounds, never in step with the others', async () => {
    const room = setUp()
    await enter(room)
    const waits: number[] = []
    for (let round = 0; round < 8; round++) {
      const before = Date.now()
      const lines = Line.all.length
      Line.last.close()
      while (Line.all.length === lines) await vi.advanceTimersByTimeAsync(100)
      waits.push(Date.now() - before)
    }
    expect(waits[0]).toBeLessThanOrEqual(600)
    expect(waits[3]!).toBeGreaterThan(waits[0]!)
    expect(Math.max(...waits)).toBeLessThanOrEqual(15_100)
  })

  it('is given up as soon as the device has no network, and taken up when it has one', async () => {
    const room = setUp()
    await enter(room)
    window.dispatchEvent(new Event('offline'))
    expect(room.links.at(-1)).toBe('reconnecting')
    window.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(0)
    expect(room.ticket).toHaveBeenCalledTimes(2)
  })

  it('is given up when nothing is heard on it any more, and taken up again', async () => {
    const room = setUp()
    await enter(room)
    await vi.advanceTimersByTimeAsync(24_500)
    expect(room.links.at(-1)).toBe('open')
    await vi.advanceTimersByTimeAsync(1_500)
    expect(Line.all).toHaveLength(2)
    Line.last.open()
    expect(Line.last.heard[0]).toEqual({ t: 'hello', ticket: 'T', resume: { v: 10 } })
  })

  it('lives through a quiet hour as long as its beats are answered', async () => {
    const room = setUp()
    await enter(room)
    for (let beat = 0; beat < 360; beat++) {
      await vi.advanceTimersByTimeAsync(10_000)
      Line.last.say({ t: 'beat' })
    }
    expect(Line.all).toHaveLength(1)
    expect(room.links.at(-1)).toBe('open')
  })

  it('is not judged while the page is hidden, and anew when it is seen again', async () => {
    const room = setUp()
    const visibility = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
    await enter(room)
    await vi.advanceTimersByTimeAsync(120_000)
    expect(room.links.at(-1)).toBe('open')
    visibility.mockReturnValue('visible')
    document.dispatchEvent(new Event('visibilitychange'))
    await vi.advanceTimersByTimeAsync(24_000)
    expect(room.links.at(-1)).toBe('open')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(room.ticket).toHaveBeenCalledTimes(2)
    visibility.mockRestore()
  })

  it('is not taken up again after a final goodbye', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'bye', code: 'show-ended', reason: '' })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(Line.all).toHaveLength(1)
    expect(room.codes.at(-1)).toBe('show-ended')
  })

  it('is taken up again after a goodbye that only asks for room', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'bye', code: 'too-slow', reason: '' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(Line.all).toHaveLength(2)
  })

  it('is left for good when the viewer leaves', async () => {
    const room = setUp()
    await enter(room)
    room.socket.stop()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(Line.all).toHaveLength(1)
  })
})

describe('buying', () => {
  it('answers with the order', async () => {
    const room = setUp()
    await enter(room)
    const answer = room.socket.buy('o1', LINES)
    expect(Line.last.of('buy')).toEqual([{ t: 'buy', id: 'o1', lines: LINES }])
    Line.last.say({ t: 'order', re: 'o1', order: { id: 'x', state: 'placed' } })
    await expect(answer).resolves.toMatchObject({ id: 'x' })
  })

  it('answers with the refusal and its facts', async () => {
    const room = setUp()
    await enter(room)
    const answer = room.socket.buy('o1', LINES)
    Line.last.say({ t: 'refused', re: 'o1', code: 'price-changed', title: 'x', price: { amount: 5, currency: 'CNY' } })
    await expect(answer).rejects.toMatchObject({ code: 'price-changed', facts: { price: { amount: 5, currency: 'CNY' } } })
  })

  it('is sent again with the same id after the line was lost', async () => {
    const room = setUp()
    await enter(room)
    const answer = room.socket.buy('o1', LINES)
    Line.last.close()
    await vi.advanceTimersByTimeAsync(600)
    Line.last.open()
    expect(Line.last.of('buy')).toHaveLength(0) // not before the server knows who is speaking
    Line.last.say({ ...WELCOME, v: 11 })
    expect(Line.last.of('buy')).toEqual([{ t: 'buy', id: 'o1', lines: LINES }])
    Line.last.say({ t: 'order', re: 'o1', order: { id: 'x', state: 'placed' } })
    await expect(answer).resolves.toMatchObject({ id: 'x' })
  })

  it('treats a line without an answer as dead and takes a new one', async () => {
    const room = setUp()
    await enter(room)
    const answer = room.socket.buy('o1', LINES)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(Line.all).toHaveLength(2)
    Line.last.open()
    Line.last.say({ ...WELCOME, v: 11 })
    expect(Line.last.of('buy')).toHaveLength(1)
    Line.last.say({ t: 'order', re: 'o1', order: { id: 'x', state: 'placed' } })
    await expect(answer).resolves.toMatchObject({ id: 'x' })
  })

  it('never waits for ever', async () => {
    const room = setUp()
    await enter(room)
    const answer = expect(room.socket.buy('o1', LINES)).rejects.toMatchObject({ code: 'no-answer' })
    Line.last.close()
    await vi.advanceTimersByTimeAsync(31_000)
    await answer
  })

  it('is refused when the show has gone', async () => {
    const room = setUp()
    await enter(room)
    const answer = expect(room.socket.buy('o1', LINES)).rejects.toMatchObject({ code: 'show-ended' })
    Line.last.say({ t: 'bye', code: 'show-ended' })
    await answer
    await expect(room.socket.buy('o2', LINES)).rejects.toBeInstanceOf(Refused)
  })
})

describe('small acts', () => {
  it('merges likes into few frames', async () => {
    const room = setUp()
    await enter(room)
    for (let tap = 0; tap < 7; tap++) room.socket.like()
    await vi.advanceTimersByTimeAsync(500)
    expect(Line.last.of('like')).toEqual([{ t: 'like', n: 7 }])
  })

  it('sends a line again only until the server has it', async () => {
    const room = setUp()
    await enter(room)
    room.socket.chat('c1', 'hello')
    room.socket.chat('c2', 'anyone?')
    Line.last.say({ t: 'sent', re: 'c1' })
    Line.last.close()
    await vi.advanceTimersByTimeAsync(600)
    Line.last.open()
    Line.last.say({ ...WELCOME, v: 11 })
    expect(Line.last.of('chat').map((frame) => frame.id)).toEqual(['c2'])
  })

  it('beats every ten seconds with what was seen', async () => {
    const room = setUp()
    await enter(room)
    Line.last.say({ t: 'batch', from: 10, v: 12, f: [viewers(4)] })
    await vi.advanceTimersByTimeAsync(20_500)
    const beats = Line.last.of('beat')
    expect(beats).toHaveLength(3)
    expect(beats.at(-1)).toEqual({ t: 'beat', visible: true, v: 12 })
  })
})
