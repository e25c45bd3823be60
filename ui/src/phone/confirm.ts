/** Asks before something that cannot be undone, by its name. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

export interface Question { title: string; text: string; act: string }

export const useConfirm = defineStore('confirm', () => {
  const open = ref(false)
  const question = ref<Question>({ title: '', text: '', act: '' })
  let answer: ((yes: boolean) => void) | null = null

  function ask(asked: Question): Promise<boolean> {
    question.value = asked
    open.value = true
    return new Promise((resolve) => (answer = resolve))
  }

  function settle(yes: boolean): void {
    open.value = false
    answer?.(yes)
    answer = null
  }

  return { open, question, ask, settle }
})
