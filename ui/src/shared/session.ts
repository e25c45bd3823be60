/** Who is watching: a guest with a viewer id, or a person with an account. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { call, useCsrf } from './api/ask'
import type { Me } from './api/types'
import { newId } from './ids'

export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  const signedIn = computed(() => me.value?.account != null)
  let loading: Promise<Me> | null = null

  function keep(answer: Me): Me {
    useCsrf(answer.csrf_token)
    me.value = answer
    return answer
  }

  /** Reads /api/me once; later callers share the answer. */
  function load(): Promise<Me> {
    loading ??= call('get', '/api/me').then(keep, (error) => {
      loading = null
      throw error
    })
    return loading
  }

  async function reload(): Promise<Me> {
    loading = null
    return load()
  }

  async function signIn(handle: string, password: string): Promise<void> {
    keep(await call('post', '/api/sessions', { body: { handle, password } }))
  }

  async function register(handle: string, password: string, name: string): Promise<void> {
    keep(await call('post', '/api/accounts', { body: { id: newId(), handle, password, name } }))
  }

  async function signOut(everywhere = false): Promise<void> {
    await call('delete', everywhere ? '/api/sessions' : '/api/sessions/current')
    await reload()
  }

  return { me, signedIn, load, reload, keep, signIn, register, signOut }
})
