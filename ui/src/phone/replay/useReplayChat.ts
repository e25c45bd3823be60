/** What was said, at its moments: fetched a stretch ahead of the picture, kept in the order of the recording. */
import { computed, ref, shallowRef, watch, type ComputedRef, type Ref } from 'vue'
import { getReplayChat } from '@/shared/api/endpoints'
import type { Said } from '@/shared/api/types'
import type { Line } from '@/shared/room/state'

const STRETCH_S = 60
const AHEAD_S = 15
const SHOWN_S = 90
const SHOWN_MAX = 60
const STRETCHES_MAX = 30

export function useReplayChat(showId: string, at: Ref<number>): { lines: ComputedRef<Line[]> } {
  const stretches = shallowRef(new Map<number, Said[]>())
  const asked = ref(new Set<number>())

  async function fetch(number: number): Promise<void> {
    if (asked.value.has(number)) return
    asked.value.add(number)
    try {
      const answer = await getReplayChat(showId, number * STRETCH_S, (number + 1) * STRETCH_S)
      const next = new Map(stretches.value).set(number, answer.items)
      for (const old of [...next.keys()].slice(0, Math.max(0, next.size - STRETCHES_MAX))) {
        next.delete(old)
        asked.value.delete(old)
      }
      stretches.value = next
    } catch {
      asked.value.delete(number) // the chat is not why anybody is here; it is asked for again when it is needed
    }
  }

  watch(() => Math.floor((at.value + AHEAD_S) / STRETCH_S), (number) => {
    for (const one of [number - 1, number]) if (one >= 0) void fetch(one)
  }, { immediate: true })

  const lines = computed<Line[]>(() => {
    const now = at.value
    const said = [...stretches.value.entries()].sort(([one], [other]) => one - other).flatMap(([, items]) => items)
    return said
      .filter((one) => one.at_s <= now && one.at_s > now - SHOWN_S)
      .slice(-SHOWN_MAX)
      .map((one) => ({ kind: 'chat', id: one.id, from: { id: one.viewer_id, name: one.name, level: one.level }, text: one.text, at: one.at }))
  })
  return { lines }
}
