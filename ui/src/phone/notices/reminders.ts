/** The shows that this viewer is reminded of. */
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { listReminders, removeReminder, setReminder } from '@/shared/api/endpoints'
import { useSession } from '@/shared/session'

export const useReminders = defineStore('reminders', () => {
  const shows = shallowRef<ReadonlySet<string>>(new Set())
  const busy = ref(false)
  let reading: Promise<void> | null = null

  function load(): Promise<void> {
    reading ??= read()
    return reading
  }

  async function read(): Promise<void> {
    try {
      await useSession().load()
      shows.value = new Set((await listReminders()).items.map((one) => one.show_id))
    } catch {
      reading = null
    }
  }

  /** At once on the screen, put back when the server refuses. */
  async function set(show: string, wanted: boolean): Promise<void> {
    const before = shows.value
    busy.value = true
    shows.value = new Set(wanted ? [...before, show] : [...before].filter((one) => one !== show))
    try {
      await useSession().load()
      await (wanted ? setReminder(show) : removeReminder(show))
    } catch (error) {
      shows.value = before
      throw error
    } finally {
      busy.value = false
    }
  }

  return { shows, busy, load, set }
})
