/** A list that comes page by page. */
import { ref, type Ref } from 'vue'
import type { Page } from './api/types'
import { useLoad, type Load } from './load'

export interface Pages<T> extends Load<T[]> {
  /** Whether another page is on its way. */
  more: Ref<boolean>
  finished: Ref<boolean>
  loadMore: () => Promise<void>
}

export function usePages<T>(read: (after?: string) => Promise<Page<T>>, failed: (error: unknown) => void): Pages<T> {
  const next = ref<string | null>(null)
  const more = ref(false)
  const finished = ref(true)

  function keep(page: Page<T>): T[] {
    next.value = page.next ?? null
    finished.value = next.value === null
    return page.items
  }

  const list = useLoad(async () => keep(await read()))

  async function loadMore(): Promise<void> {
    if (next.value === null || more.value || !list.data.value) return
    more.value = true
    const onto = list.data.value
    try {
      const page = await read(next.value)
      if (list.data.value === onto) onto.push(...keep(page)) // a reload meanwhile began a new list
    } catch (error) {
      finished.value = true
      failed(error)
    } finally {
      more.value = false
    }
  }

  return { ...list, more, finished, loadMore }
}
