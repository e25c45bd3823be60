/**
 * A file on its way: in pieces, with progress, gone on with where it broke off, called off at any time. What has arrived
 * the server says; nothing of the file's name is sent.
 */
import { reactive } from 'vue'
import { ask, Refused } from '@/shared/api/ask'
import { sendBytes } from '@/shared/api/bytes'
import { newId } from '@/shared/ids'

const PIECE_BYTES = 4 * 1024 * 1024
const ATTEMPTS_MAX = 6
const PAUSE_MS = 800

export interface Upload {
  id: string
  name: string
  size: number
  sent: number
  state: 'waiting' | 'sending' | 'paused' | 'done' | 'failed' | 'cancelled'
  error: unknown
  cancel: () => void
  retry: () => void
}

interface Received { id: string; size_bytes: number; received_bytes: number }

/** Sends the file; `done` is called once, when all of it has arrived. */
export function upload(shop: string, file: File, done: (upload: Upload) => Promise<void>): Upload {
  let request: XMLHttpRequest | null = null
  const state: Upload = reactive({
    id: newId(), name: file.name, size: file.size, sent: 0, state: 'waiting', error: null,
    cancel() {
      if (state.state === 'done') return
      state.state = 'cancelled'
      request?.abort()
      ask('delete', '/api/uploads/{id}', { path: { id: state.id } }).catch(() => undefined)
    },
    retry() {
      if (state.state === 'failed') void run()
    },
  }) as Upload

  async function run(): Promise<void> {
    state.state = 'sending'
    state.error = null
    let failures = 0
    let at = -1
    while (is('sending', 'paused')) {
      try {
        if (at < 0) at = (await announce()).received_bytes
        while (at < file.size && is('sending', 'paused')) {
          at = (await piece(at)).received_bytes
          state.sent = at
          state.state = 'sending'
          failures = 0
        }
        if (!is('sending')) return
        await done(state)
        state.state = 'done'
        return
      } catch (error) {
        if (is('cancelled')) return
        const lasting = error instanceof Refused && error.status >= 400 && error.status < 500 && !['offset-wrong', 'upload-busy'].includes(error.code)
        if (lasting || ++failures > ATTEMPTS_MAX) {
          state.state = 'failed'
          state.error = error
          return
        }
        state.state = 'paused'
        at = -1
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (failures - 1)))
      }
    }
  }

  const is = (...states: Upload['state'][]) => states.includes(state.state)

  /** The same announcement again tells how much is there already. */
  function announce(): Promise<Received> {
    return ask<Received>('post', '/api/shops/{shop}/uploads', { path: { shop }, body: { id: state.id, size_bytes: file.size } })
  }

  /** fetch tells nothing of what was sent; this one does. */
  function piece(at: number): Promise<Received> {
    return sendBytes('PATCH', `/api/uploads/${state.id}?offset=${at}`, file.slice(at, at + PIECE_BYTES), {
      progress: (sent) => (state.sent = at + sent),
      begun: (begun) => (request = begun),
    })
  }

  void run()
  return state
}
