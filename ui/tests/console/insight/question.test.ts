/** What a page asks: the newest question wins, the one before is called off, and no figure stands for a question that is not its own. */
import { effectScope, nextTick, ref } from 'vue'
import { describe, expect, it } from 'vitest'
import { useAnswer } from '@/console/insight/question'
import { zone, sayMinute, sayTime } from '@/console/insight/parts/zone'
import { i18n } from '@/shared/i18n'

type Way = { resolve: (answer: string) => void; reject: (cause: Error) => void; signal: AbortSignal }

function ask(question: () => string) {
  const asked: Way[] = []
  const scope = effectScope()
  const found = scope.run(() => useAnswer(question, (_, signal) => new Promise<string>((resolve, reject) => asked.push({ resolve, reject, signal }))))!
  return { asked, scope, found }
}
const settle = async () => {
  for (let turn = 0; turn < 5; turn++) await nextTick()
}

describe('an answer', () => {
  it('is the newest question’s; the one before is called off, and its answer counts no more', async () => {
    const day = ref('monday')
    const { asked, scope, found } = ask(() => day.value)
    day.value = 'tuesday'
    await settle()
    expect(asked.map((one) => one.signal.aborted)).toEqual([true, false])
    asked[1]!.resolve('tuesday’s')
    asked[0]!.resolve('monday’s')
    await settle()
    expect(found.data.value).toBe('tuesday’s')
    scope.stop()
    expect(asked[1]!.signal.aborted).toBe(true)
  })

  it('stays while newer figures are on their way, and goes when they do not come', async () => {
    const day = ref('monday')
    const { asked, scope, found } = ask(() => day.value)
    asked[0]!.resolve('monday’s')
    await settle()
    day.value = 'tuesday'
    await settle()
    expect([found.data.value, found.loading.value]).toEqual(['monday’s', true])
    asked[1]!.reject(new Error('too busy'))
    await settle()
    expect([found.data.value, (found.error.value as Error).message]).toEqual([null, 'too busy'])
    void found.reload()
    expect(found.error.value).toBeNull()
    asked[2]!.resolve('tuesday’s')
    await settle()
    expect([found.data.value, found.error.value]).toEqual(['tuesday’s', null])
    scope.stop()
  })
})

describe('a time of these pages', () => {
  it('is of the books’ zone, wherever the page is read', () => {
    i18n.global.locale.value = 'en'
    zone.value = 'Pacific/Auckland'
    expect([sayMinute('2020-06-30T23:30:00Z'), sayTime('2020-06-30T23:30:00Z')]).toEqual(['11:30', 'Jul 1, 2020, 11:30'])
    zone.value = 'America/New_York'
    expect(sayTime('2020-07-01T02:30:00Z')).toBe('Jun 30, 2020, 22:30')
  })
})
