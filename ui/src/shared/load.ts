/** Loading a page's data: skeleton first, then the data or the cause, and a way to try again. */
import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import { useSession } from './session'

export interface Load<T> {
  data: Ref<T | null>
  error: ShallowRef<unknown>
  loading: Ref<boolean>
  reload: () => Promise<void>
}

export function useLoad<T>(read: () => Promise<T>): Load<T> {
  const data = ref(null) as Ref<T | null>
  const error = shallowRef<unknown>(null)
  const loading = ref(true)
  const session = useSession()
  let turn = 0
  onScopeDispose(() => turn++)

  async function reload(): Promise<void> {
    const mine = ++turn
    loading.value = true
    try {
      await session.load() // guests get their viewer id first, so that entries are theirs
      const answer = await read()
      if (mine !== turn) return
      data.value = answer
      error.value = null
    } catch (cause) {
      if (mine !== turn) return
      error.value = cause
    }
    loading.value = false
  }

  void reload()
  return { data, error, loading, reload }
}
