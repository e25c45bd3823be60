import type { Activity } from '@/shared/api/types'

/** The sides of a duel, the room one is in first. */
export function sidesOf(activity: Activity, showId: string) {
  return [...(activity.pk?.sides ?? [])].sort((one, other) => Number(other.show_id === showId) - Number(one.show_id === showId))
}
