import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyDraw, type Proof } from '@/shared/fun/draw'

const vectors = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../tests/fun/vectors.json'), 'utf8')) as {
  cases: { name: string; valid: boolean; proof: Proof }[]
}

describe('a draw, repeated in the page', () => {
  it('has something to agree on', () => expect(vectors.cases.length).toBeGreaterThan(10))
  it.each(vectors.cases.map((one) => [one.name, one] as const))('%s', (_name, { proof, valid }) => {
    expect(verifyDraw(proof).every(({ holds }) => holds)).toBe(valid)
  })
  it('refuses what is no proof at all', () => {
    const broken = { ...vectors.cases[0]!.proof, rules: '{' }
    expect(verifyDraw(broken)).toEqual([{ check: 'readable', holds: false }])
  })
  it('sees a single cent that moved', () => {
    const proof = structuredClone(vectors.cases[0]!.proof)
    proof.outcome[0]![3] += 1
    expect(verifyDraw(proof).filter(({ holds }) => !holds).map(({ check }) => check)).toEqual(['outcome'])
  })
})
