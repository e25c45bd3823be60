import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { beginWatching } from '@/shared/player/watching'

let visible = true
let now = 0
let answers = 0
const told: [string | null, number][] = []
const tell = vi.fn((beat: string | null, shown: number) => {
  told.push([beat, shown])
  return Promise.resolve(`answer ${++answers}`)
})

async function pass(ms: number): Promise<void> {
  now += ms
  await vi.advanceTimersByTimeAsync(ms)
}

async function see(is: boolean): Promise<void> {
  visible = is
  document.dispatchEvent(new Event('visibilitychange'))
  await pass(0)
}

beforeEach(() => {
  vi.useFakeTimers()
  const page = new EventTarget()
  Object.defineProperty(page, 'visibilityState', { get: () => (visible ? 'visible' : 'hidden') })
  vi.stubGlobal('document', page)
  visible = true
  now = answers = 0
  told.length = 0
  tell.mockClear()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('watch time beside the live room', () => {
  it('is told at the beginning, every ten seconds and when it stops, each time with the last answer', async () => {
    const watching = beginWatching(tell, () => now)
    watching.run(true)
    await pass(10_000)
    await pass(4_000)
    watching.run(false)
    await pass(60_000)
    expect(told).toEqual([[null, 0], ['answer 1', 10_000], ['answer 2', 4_000]])
  })

  it('does not run on a page that nobody sees', async () => {
    const watching = beginWatching(tell, () => now)
    watching.run(true)
    await pass(3_000)
    await see(false)
    await pass(30_000)
    await see(true)
    await pass(2_000)
    watching.end()
    await pass(0)
    expect(told).toEqual([[null, 0], ['answer 1', 3_000], ['answer 2', 0], ['answer 3', 2_000]])
  })

  it('says again what was lost on the way', async () => {
    const watching = beginWatching(tell, () => now)
    watching.run(true)
    await pass(1)
    tell.mockImplementationOnce(() => Promise.reject(new Error('offline')))
    await pass(10_000)
    await pass(10_000)
    watching.end()
    expect(told.at(-1)).toEqual(['answer 1', expect.closeTo(20_000, -2)])
  })
})
