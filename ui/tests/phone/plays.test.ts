import { describe, expect, it } from 'vitest'
import { beginPlay } from '@/phone/videos/plays'

function listen() {
  const heard: { id: string; watched: number }[] = []
  return { heard, play: beginPlay((id, watched) => heard.push({ id, watched })) }
}

describe('a play', () => {
  it('is told at its beginning, from three seconds on, and at its end, under one id', () => {
    const { heard, play } = listen()
    for (let second = 0; second <= 9; second += 0.25) play.at(second)
    play.end()
    expect(heard.map((one) => one.watched)).toEqual([0, 3000, 8000, 9000])
    expect(new Set(heard.map((one) => one.id)).size).toBe(1)
  })

  it('does not count a jump, and goes on through a loop', () => {
    const { heard, play } = listen()
    for (const second of [0, 1, 2, 60, 61, 0, 1]) play.at(second)
    play.end()
    expect(heard.at(-1)!.watched).toBe(4000)
  })

  it('says nothing twice', () => {
    const { heard, play } = listen()
    play.end()
    play.end()
    expect(heard).toHaveLength(1)
  })
})
