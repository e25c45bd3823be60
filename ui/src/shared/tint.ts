/** A stable tint for a thing without a picture, and the letter that stands for it. */

const TINTS = [
  { soft: '#fdeee6', ink: '#b4532a', deep: '#8a2f14', glow: '#ff8a55' },
  { soft: '#e7f3f5', ink: '#2a7285', deep: '#0f4756', glow: '#45b5cc' },
  { soft: '#fbf2dd', ink: '#8a6412', deep: '#7a4a0a', glow: '#f5b83d' },
  { soft: '#edf0fc', ink: '#4653b0', deep: '#2a3285', glow: '#8794ff' },
  { soft: '#fcebf0', ink: '#ad3760', deep: '#7a1d40', glow: '#ff7fa6' },
  { soft: '#e8f5eb', ink: '#2f7a42', deep: '#12502a', glow: '#5cc67c' },
  { soft: '#f4edfb', ink: '#7a45ab', deep: '#4a2375', glow: '#b583ea' },
  { soft: '#ecf0f4', ink: '#4a6375', deep: '#2b4152', glow: '#8fb0c7' },
] as const

export type Tint = (typeof TINTS)[number]

export function tintOf(id: string): Tint {
  return TINTS[hash(id) % TINTS.length]!
}

/** Names in the chat are told apart by colour; all of these read on a dark ground. */
const NAMES = ['#ffd08a', '#9fdcff', '#ffb3c1', '#b8f0c0', '#d9c2ff', '#ffe08a', '#a5ece6', '#ffc0a0'] as const

export function nameColour(id: string): string {
  return NAMES[hash(id) % NAMES.length]!
}

/** The first letter or character that is one: 礼 of 「礼盒」, R of "REGENCY". */
export function initialOf(name: string): string {
  return [...name].find((sign) => /[\p{L}\p{N}]/u.test(sign))?.toUpperCase() ?? '·'
}

function hash(text: string): number {
  let value = 2166136261
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 16777619)
  return (value ^ (value >>> 15)) >>> 0
}
