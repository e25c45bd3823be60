import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refused } from '@/shared/api/ask'
import { Publisher, type Figures, type Sending } from '@/console/studio/publisher'

/** The server's end of the line, in the hands of the test. */
class Line {
  static all: Line[] = []
  readyState: number = WebSocket.CONNECTING
  bufferedAmount = 0
  texts: Record<string, unknown>[] = []
  chunks: Blob[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: (() => void) | null = null
  constructor(readonly url: string) {
    Line.all.push(this)
  }
  open(): this {
    this.readyState = WebSocket.OPEN
    this.onopen?.()
    return this
  }
  say(frame: unknown): void {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  send(what: string | Blob): void {
    if (typeof what === 'string') this.texts.push(JSON.parse(what))
    else this.chunks.push(what)
  }
  close(): void {
    if (this.readyState === WebSocket.CLOSED) return
    this.readyState = WebSocket.CLOSED
    this.onclose?.()
  }
  static get last(): Line {
    return Line.all.at(-1)!
  }
}

class Recorder {
  static all: Recorder[] = []
  static isTypeSupported = (mime: string) => mime.startsWith('video/x-matroska') || mime === 'video/mp4'
  state = 'inactive'
  ondataavailable: ((event: { data: Blob }) => void) | null = null
  onerror: (() => void) | null = null
  constructor(readonly mime: string, readonly bits: number) {
    Recorder.all.push(this)
  }
  start(): void {
    this.state = 'recording'
  }
  stop(): void {
    this.state = 'inactive'
  }
  give(size: number): void {
    this.ondataavailable?.({ data: new Blob([new Uint8Array(size)]) })
  }
  static get last(): Recorder {
    return Recorder.all.at(-1)!
  }
}

const READY = { t: 'ready', chunk_bytes_max: 1_000, transcoding: false }

async function setUp(permit = vi.fn(async () => ({ ticket: 'T', ws_path: '/ingest' }))) {
  const said: [Sending, string | undefined][] = []
  const figures: Figures[] = []
  const publisher = new Publisher({
    permit,
    stream: {} as MediaStream,
    bits_per_s: 2_000_000,
    onSending: (sending, code) => said.push([sending, code]),
    onFigures: (now) => figures.push(now),
    open: (url) => new Line(url) as unknown as WebSocket,
    record: (_stream, mime, bits) => new Recorder(mime, bits) as unknown as MediaRecorder,
  })
  publisher.start()
  await vi.advanceTimersByTimeAsync(0)
  return { publisher, permit, said, figures, now: () => said.at(-1) }
}

async function setUpSending() {
  const made = await setUp()
  Line.last.open().say(READY)
  return made
}

describe('the publisher', () => {
  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('MediaRecorder', Recorder)
    Line.all = []
    Recorder.all = []
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('shows its ticket and records only when the server is ready, what flows before what comes by the second', async () => {
    const { publisher, now } = await setUp()
    Line.last.open()
    expect(Line.last.texts).toEqual([{ t: 'publish', ticket: 'T', mime: 'video/x-matroska;codecs=avc1,opus' }])
    expect(Recorder.all).toHaveLength(0)
    Line.last.say(READY)
    expect(Recorder.last.state).toBe('recording')
    expect(now()).toEqual(['sending', undefined])
    publisher.stop()
    expect(Line.last.texts.at(-1)).toEqual({ t: 'stop' })
    expect(Recorder.last.state).toBe('inactive')
    expect(now()?.[0]).toBe('idle')
  })

  it('cuts chunks to the size that the server takes, and never sends the first byte alone', async () => {
    await setUpSending()
    Recorder.last.give(1)
    expect(Line.last.chunks).toHaveLength(0)
    Recorder.last.give(2_299)
    expect(Line.last.chunks.map((chunk) => chunk.size)).toEqual([1_000, 1_000, 300])
  })

  it('comes back on a new line with a new recording', async () => {
    const { permit, said } = await setUpSending()
    const first = Recorder.last
    Line.last.close()
    expect(first.state).toBe('inactive')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(permit).toHaveBeenCalledTimes(2)
    Line.last.open().say(READY)
    expect(Recorder.last).not.toBe(first)
    expect(said.map(([sending]) => sending)).toEqual(['connecting', 'sending', 'reconnecting', 'sending'])
  })

  it('gives way to another encoder, but not to its own half-open line', async () => {
    const busy = { t: 'refused', code: 'channel-busy', title: 'busy' }
    const first = await setUp()
    Line.last.open().say(busy)
    expect(first.now()).toEqual(['refused', 'channel-busy'])

    const second = await setUpSending()
    Line.last.close()
    for (let attempt = 0; attempt < 3; attempt++) {
      await vi.advanceTimersByTimeAsync(5_000)
      Line.last.open().say(busy)
      expect(second.now()?.[0]).toBe('reconnecting')
    }
    await vi.advanceTimersByTimeAsync(5_000)
    Line.last.open().say(READY)
    expect(second.now()?.[0]).toBe('sending')
  })

  it('ends with the reason when the show is over', async () => {
    const { permit, now } = await setUpSending()
    permit.mockRejectedValueOnce(new Refused('show-ended', 409))
    Line.last.say({ t: 'bye', code: 'cut', reason: 'the show is over' })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(now()).toEqual(['refused', 'show-ended'])
  })

  it('begins anew on the same line when it is asked to', async () => {
    await setUpSending()
    const first = Recorder.last
    Line.last.say({ t: 'restart', reason: 'unreadable' })
    await vi.advanceTimersByTimeAsync(100)
    expect(Line.all).toHaveLength(1)
    expect(Recorder.all).toHaveLength(2)
    expect(first.state).toBe('inactive')
  })

  it('heaps nothing up on a slow line: it pauses, then goes on with fewer bits', async () => {
    const { figures } = await setUpSending()
    const line = Line.last
    for (let at = 0; at < 60; at++) {
      Recorder.last.give(25_000)
      line.bufferedAmount += 25_000
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(figures.some((one) => one.slow)).toBe(true)
    expect(Recorder.all).toHaveLength(1)
    expect(Recorder.last.state).toBe('inactive')
    const sent = line.chunks.length
    Recorder.last.give(25_000)
    expect(line.chunks).toHaveLength(sent)
    line.bufferedAmount = 0
    await vi.advanceTimersByTimeAsync(100)
    expect(Recorder.all).toHaveLength(2)
    expect(Recorder.last.bits).toBe(1_200_000)
    expect(Line.all).toHaveLength(1)
  })

  it('gives up a line on which nothing moves any more', async () => {
    const { now } = await setUpSending()
    Line.last.bufferedAmount = 5_000_000
    Recorder.last.give(25_000)
    expect(Line.last.chunks).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(7_000)
    expect(Line.all.length).toBeGreaterThan(1)
    expect(now()?.[0]).toBe('reconnecting')
  })
})
