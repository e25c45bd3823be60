/** What one was told: how much is unread, and news of it, over the room's line where there is one, else by asking now and then. */
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { countUnreadNotices } from '@/shared/api/endpoints'
import type { NoticeFrame } from '@/shared/room/frames'
import { useSession } from '@/shared/session'

const ASK_EVERY_MS = 30_000

export const useNotices = defineStore('notices', () => {
  const unread = ref(0)
  /** The latest notice of the room's line, until it is put away. */
  const latest = ref<NoticeFrame | null>(null)
  let timer: ReturnType<typeof setInterval> | undefined

  async function ask(): Promise<void> {
    if (document.visibilityState !== 'visible') return
    const session = useSession()
    await session.load().then(async () => {
      unread.value = (await countUnreadNotices()).unread_count
    }).catch(() => undefined) // the bell is not worth a word about a lost line
  }

  /** Asks as long as the page is open. */
  function start(): void {
    if (timer) return
    timer = setInterval(() => void ask(), ASK_EVERY_MS)
    document.addEventListener('visibilitychange', () => void ask())
    void ask()
  }

  function heard(frame: NoticeFrame): void {
    unread.value++
    latest.value = frame
  }

  return { unread, latest, ask, start, heard }
})
