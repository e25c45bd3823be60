/**
 * Signing in is asked only when it is needed, over the page where one is; the intended act goes on afterwards:
 * `if (await gate.signedIn('buy')) ...`
 */
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { useSession } from '@/shared/session'

export type Reason = 'buy' | 'chat' | 'fun' | 'page'

export const useGate = defineStore('gate', () => {
  const open = ref(false)
  const reason = ref<Reason>('page')
  let answer: ((signedIn: boolean) => void) | null = null

  async function signedIn(why: Reason): Promise<boolean> {
    const session = useSession()
    await session.load()
    if (session.signedIn) return true
    answer?.(false)
    reason.value = why
    open.value = true
    return new Promise((resolve) => (answer = resolve))
  }

  function settle(signedIn: boolean): void {
    open.value = false
    answer?.(signedIn)
    answer = null
  }

  return { open, reason, signedIn, settle }
})
