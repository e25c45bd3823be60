/** What every number means: each read once, when it is first asked for. */
import { call } from '@/shared/api/ask'

type Answer = Awaited<ReturnType<typeof ask>>
export type Definition = Answer

const ask = (key: string) => call('get', '/api/insight/definitions/{key}', { path: { key } })
const known = new Map<string, Promise<Definition>>()

export function readDefinition(key: string): Promise<Definition> {
  let reading = known.get(key)
  if (!reading) {
    reading = ask(key)
    known.set(key, reading)
    reading.catch(() => known.delete(key))
  }
  return reading
}
