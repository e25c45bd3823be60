/**
 * Camera to server: MediaRecorder's chunks over one socket (docs/protocol.md, "Publishing").
 *
 * It promises: what cannot be sent in time is never heaped up (it pauses, then goes on at a lower bit rate); a lost line
 * comes back by itself, with a new recording; a refusal that waiting would not mend ends it, with its code.
 */
import { Refused } from '@/shared/api/ask'

export type Sending = 'idle' | 'connecting' | 'sending' | 'reconnecting' | 'refused'

export interface Publication { ticket: string; ws_path: string }

/** What the server says each second of what arrives. */
export interface Arrival { t: 'stats'; received_bytes: number; lag_ms: number | null; frames_per_s: number; key_frame_interval_s: number | null }

export interface Figures {
  /** What the recorder makes, and what it was told to make. */
  bits_per_s: number
  wanted_bits_per_s: number
  /** How old what arrives at the server is; `slow` when that stays too much. */
  lag_s: number
  slow: boolean
  arrival: Arrival | null
}

export interface PublisherOptions {
  permit: () => Promise<Publication>
  stream: MediaStream
  bits_per_s: number
  onSending: (sending: Sending, code?: string) => void
  onFigures: (figures: Figures) => void
  /** For tests. */
  open?: (url: string) => WebSocket
  record?: (stream: MediaStream, mime: string, bits_per_s: number) => MediaRecorder
}

/**
 * Matroska before MP4: Chromium closes an MP4 fragment only at a key frame, which costs a second; its Matroska flows
 * (it calls H.264 in WebM `video/x-matroska`). MP4 is Safari's. VP8 and VP9 are encoded again at the server.
 */
const MIMES = [
  'video/x-matroska;codecs=avc1,opus', 'video/webm;codecs=h264,opus', 'video/mp4;codecs=avc1.42E01F,mp4a.40.2', 'video/mp4;codecs=avc1.42E01F,opus',
  'video/mp4', 'video/webm;codecs=vp8,opus', 'video/webm;codecs=vp9,opus', 'video/webm',
]
export const CHUNK_MS = 100
const KEY_FRAME_MS = 1_000
const SOUND_BITS_PER_S = 128_000
const READY_WAIT_MS = 12_000
const BACKOFF_MIN_MS = 500
const BACKOFF_MAX_MS = 5_000
const TICK_MS = 500
const RATE_WINDOW_MS = 4_000
/** Later than this is worth a word; later than that for a while, and less is sent. */
const SLOW_S = 1
const TOO_SLOW_S = 2
const TOO_SLOW_TICKS = 4
const LOWER_BY = 0.6
const BITS_PER_S_MIN = 400_000
/** Waiting in the socket's own buffer; beyond it nothing is added. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024
const DRAIN_MS_MAX = 6_000
const CHUNKS_REMEMBERED = 400

/** Refusals after which knocking again would be rude or useless. */
const FINAL = new Set(['show-ended', 'forbidden', 'not-found', 'unauthenticated', 'codec-unsupported', 'stream-refused'])
const REFUSED_TRIES = 4
/** Our own line, which the server still thinks alive, looks to it like another encoder for a few seconds. */
const BUSY = 'channel-busy'
const BUSY_TRIES = 8
const SETTLED_MS = 5_000
const HEAD_BYTES = 16

export class Publisher {
  private socket: WebSocket | null = null
  private recorder: MediaRecorder | null = null
  private stopped = false
  private ready = false
  private attempts = 0
  private refusals = 0
  private chunkMax = 65_536
  private readonly mime = bestMime()
  private everSent = false
  private stream: MediaStream
  private bits: number
  private sentBytes = 0
  private slowTicks = 0
  private arrival: Arrival | null = null
  private arrivalLag_s = 0
  /** When which bytes were made: [bytes up to here, at], newest last. */
  private made: [number, number][] = []
  private timers = new Map<string, ReturnType<typeof setTimeout>>()

  constructor(private readonly options: PublisherOptions) {
    this.stream = options.stream
    this.bits = options.bits_per_s
  }

  start(): void {
    this.options.onSending('connecting')
    this.every('tick', TICK_MS, () => this.tick())
    window.addEventListener('online', this.onOnline)
    void this.connect()
  }

  /** Ends it for good; the server is told, so that viewers need not wait. */
  stop(): void {
    this.finish('idle')
  }

  /** Goes on with a new recording on the same line: other devices, another bit rate. Viewers see a short break. */
  renew(stream = this.stream, bits_per_s = this.bits): void {
    this.stream = stream
    this.bits = bits_per_s
    if (!this.ready || this.timers.has('drain')) return
    this.silence()
    const began = performance.now()
    this.every('drain', 40, () => {
      // What was given to the socket cannot be taken back: a new recording behind it would be as late.
      if (this.socket!.bufferedAmount === 0) {
        this.clear('drain')
        this.record()
      } else if (performance.now() - began > DRAIN_MS_MAX) this.drop()
    })
  }

  private async connect(): Promise<void> {
    let permit: Publication
    try {
      permit = await this.options.permit()
    } catch (error) {
      if (this.stopped) return
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && error.status !== 429) return this.refuse(error.code)
      return this.again()
    }
    if (this.stopped) return
    const url = new URL(permit.ws_path, location.origin.replace(/^http/, 'ws')).href
    const socket = (this.options.open ?? ((address) => new WebSocket(address)))(url)
    this.socket = socket
    socket.onopen = () => socket.send(JSON.stringify({ t: 'publish', ticket: permit.ticket, mime: this.mime }))
    socket.onmessage = (event) => {
      if (this.socket === socket) this.hear(JSON.parse(String(event.data)))
    }
    socket.onclose = () => {
      if (this.socket === socket) this.again()
    }
    this.later('ready', READY_WAIT_MS, () => this.drop())
  }

  private hear(frame: Record<string, unknown>): void {
    if (frame.t === 'ready') {
      this.clear('ready')
      this.chunkMax = Number(frame.chunk_bytes_max) || this.chunkMax
      this.sentBytes = this.arrivalLag_s = 0
      this.made = []
      this.arrival = null
      this.ready = true
      this.record()
    } else if (frame.t === 'stats') {
      this.arrival = frame as unknown as Arrival
      this.arrivalLag_s = this.age(this.arrival.received_bytes)
    } else if (frame.t === 'restart') {
      this.renew()
    } else if (frame.t === 'refused' || frame.t === 'bye') {
      const code = String(frame.code ?? '')
      const patience = code === BUSY ? (this.everSent ? BUSY_TRIES : 0) : REFUSED_TRIES
      if (FINAL.has(code) || (frame.t === 'refused' && ++this.refusals > patience)) return this.refuse(code)
      this.drop()
    }
  }

  /** A recording is read from its beginning only, so each has a recorder of its own. */
  private record(): void {
    let recorder: MediaRecorder
    try {
      recorder = (this.options.record ?? newRecorder)(this.stream, this.mime, this.bits)
    } catch {
      return this.refuse('recorder-failed')
    }
    this.recorder = recorder
    let head: Blob | null = new Blob([])
    recorder.ondataavailable = ({ data }) => {
      const socket = this.socket
      if (this.recorder !== recorder || data.size === 0 || socket?.readyState !== WebSocket.OPEN) return
      if (socket.bufferedAmount > BUFFERED_BYTES_MAX) return this.lower() // a gap would break the recording
      // Chromium gives the first byte alone; the server knows a recording by its first four.
      if (head) data = new Blob([head, data])
      head = data.size < HEAD_BYTES && head ? data : null
      if (head) return
      for (let at = 0; at < data.size; at += this.chunkMax) socket.send(data.slice(at, at + this.chunkMax))
      this.sentBytes += data.size
      this.made.push([this.sentBytes, performance.now()])
      if (this.made.length > CHUNKS_REMEMBERED) this.made.shift()
    }
    recorder.onerror = () => this.recorder === recorder && this.drop()
    recorder.start(CHUNK_MS)
    this.everSent = true
    this.slowTicks = 0
    this.options.onSending('sending')
    this.later('settled', SETTLED_MS, () => (this.attempts = this.refusals = 0))
  }

  private tick(): void {
    const figures = this.figures()
    this.options.onFigures(figures)
    this.slowTicks = figures.lag_s > TOO_SLOW_S ? this.slowTicks + 1 : 0
    if (this.slowTicks >= TOO_SLOW_TICKS) this.lower()
  }

  private figures(): Figures {
    const now = performance.now()
    const recent = this.made.filter(([, at]) => at > now - RATE_WINDOW_MS)
    const [first, last] = [recent[0], recent.at(-1)]
    const span = first && last ? last[1] - first[1] : 0
    const bits_per_s = span > 0 ? Math.round(((last![0] - first![0]) * 8_000) / span) : 0
    const lag_s = Math.max(this.arrivalLag_s, this.age(this.sentBytes - (this.socket?.bufferedAmount ?? 0)))
    return { bits_per_s, wanted_bits_per_s: this.bits, lag_s, slow: lag_s > SLOW_S, arrival: this.arrival }
  }

  /** Of the oldest byte that comes after these. */
  private age(bytes: number): number {
    const oldest = this.made.find(([until]) => until > bytes)
    return oldest ? (performance.now() - oldest[1]) / 1000 : 0
  }

  private lower(): void {
    this.slowTicks = 0
    if (this.timers.has('drain')) return
    this.renew(this.stream, Math.max(BITS_PER_S_MIN, Math.round(this.bits * LOWER_BY)))
  }

  private again(): void {
    this.silence()
    this.socket = null
    this.ready = false
    for (const name of ['ready', 'drain', 'settled']) this.clear(name)
    if (this.stopped) return
    this.options.onSending(this.everSent ? 'reconnecting' : 'connecting')
    const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.attempts++)
    this.later('connect', pause, () => void this.connect())
  }

  /** Gives the line up without waiting for its goodbye: a dead line never says one. */
  private drop(): void {
    this.leave()
    this.again()
  }

  private leave(): void {
    const socket = this.socket
    this.socket = null
    this.ready = false
    socket?.close()
  }

  private refuse(code: string): void {
    this.finish('refused', code)
  }

  private finish(sending: Sending, code?: string): void {
    if (this.stopped) return
    this.stopped = true
    window.removeEventListener('online', this.onOnline)
    this.silence()
    for (const name of [...this.timers.keys()]) this.clear(name)
    if (this.ready && this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ t: 'stop' }))
    this.leave()
    this.options.onSending(sending, code)
  }

  private readonly onOnline = (): void => {
    if (!this.timers.has('connect')) return
    this.attempts = 0
    this.later('connect', 0, () => void this.connect())
  }

  private silence(): void {
    const recorder = this.recorder
    this.recorder = null
    if (recorder && recorder.state !== 'inactive') recorder.stop()
  }

  private later(name: string, delay: number, act: () => void): void {
    this.clear(name)
    this.timers.set(name, setTimeout(() => (this.timers.delete(name), act()), delay))
  }

  private every(name: string, delay: number, act: () => void): void {
    this.clear(name)
    this.timers.set(name, setInterval(act, delay))
  }

  private clear(name: string): void {
    clearTimeout(this.timers.get(name))
    clearInterval(this.timers.get(name))
    this.timers.delete(name)
  }
}

/** The first of our wishes that this browser can record; empty: its own choice. */
export function bestMime(): string {
  return MIMES.find((mime) => MediaRecorder.isTypeSupported(mime)) ?? ''
}

function newRecorder(stream: MediaStream, mime: string, bits: number): MediaRecorder {
  const options = { mimeType: mime || undefined, videoBitsPerSecond: bits, audioBitsPerSecond: SOUND_BITS_PER_S, videoKeyFrameIntervalDuration: KEY_FRAME_MS }
  return new MediaRecorder(stream, options)
}
