/** Follow and unfollow from anywhere, guests too: at once on the screen, put back when the server refuses. */
import { ref } from 'vue'
import { follow, unfollow } from '@/shared/api/endpoints'
import { toast, toastError } from './parts/toast'
import { t } from '@/shared/i18n'
import { useSession } from '@/shared/session'

export function useFollow() {
  const busy = ref(false)
  const session = useSession()

  async function toggle(streamer: { id: string; following: boolean; follower_count?: number }, visit?: string | null): Promise<void> {
    if (busy.value) return
    await session.load()
    const wanted = !streamer.following
    busy.value = true
    const step = wanted ? 1 : -1
    streamer.following = wanted
    if (streamer.follower_count !== undefined) streamer.follower_count += step
    try {
      await (wanted ? follow(streamer.id, visit) : unfollow(streamer.id))
      if (wanted) toast(t('phone.follow.done'))
    } catch (error) {
      streamer.following = !wanted
      if (streamer.follower_count !== undefined) streamer.follower_count -= step
      toastError(error)
    } finally {
      busy.value = false
    }
  }

  return { busy, toggle }
}
