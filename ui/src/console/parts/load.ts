/** Reading from the server for a page: one thing, or a list by pages. The newest question wins; those before it are called off. */
import { computed, onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import type { Page } from '@/shared/api/types'

export function useLoad<T>(read: (signal: AbortSignal) => Promise<T>): {
  data: Ref<T | null>; error: Ref<unknown>; loading: Ref<boolean>; reload: () => Promise<void>
} {
  const data = shallowRef<T | null>(null)
  const error = shallowRef<unknown>(null)
  const loading = ref(false)
  let turn = 0
  let asking: AbortController | null = null
  onScopeDispose(callOff)

  function callOff(): void {
    turn++
    asking?.abort()
  }

  async function reload(): Promise<void> {
    callOff()
    const mine = turn
    asking = new AbortController()
    loading.value = true
    if (data.value === null) error.value = null // a second try shows that it is one
    try {
      const answer = await read(asking.signal)
      if (mine !== turn) return
      data.value = answer
      error.value = null
    } catch (caught) {
      if (mine === turn) error.value = caught
    } finally {
      if (mine === turn) loading.value = false
    }
  }
  return { data, error, loading, reload }
}

/** A list by keyset: pages are walked with the cursors that the server gave. */
export function usePages<T>(read: (after: string | null) => Promise<Page<T>>) {
  const cursors = ref<(string | null)[]>([null])
  const { data, error, loading, reload } = useLoad(() => read(cursors.value.at(-1) ?? null))
  const items = computed(() => data.value?.items ?? [])
  const page = computed(() => cursors.value.length)

  return {
    items, page, error, loading, reload, data,
    hasNext: computed(() => data.value?.next != null),
    hasBefore: computed(() => cursors.value.length > 1),
    async next() {
      if (data.value?.next == null) return
      cursors.value.push(data.value.next)
      await reload()
    },
    async before() {
      if (cursors.value.length > 1) cursors.value.pop()
      await reload()
    },
    async restart() {
      cursors.value = [null]
      await reload()
    },
    /** Shows a changed record without asking again. */
    replace(same: (item: T) => boolean, item: T) {
      if (data.value) data.value = { ...data.value, items: data.value.items.map((old) => (same(old) ? item : old)) }
    },
  }
}
