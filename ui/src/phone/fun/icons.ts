import type { ActivityKind } from '@/shared/api/types'
import type { IconName } from '../parts/icons'

export const FUN_ICONS: Record<ActivityKind, IconName> = {
  red_packet: 'packet', lottery: 'gift', quiz: 'question', poll: 'bars', bargain: 'cut', pk: 'duel',
}
