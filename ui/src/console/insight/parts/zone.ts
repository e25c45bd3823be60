/** The books' zone, in which all times of these pages are said: the days that figures belong to begin and end in it. */
import { ref } from 'vue'
import { formatTime } from '@/shared/format'
import { currentLocale } from '@/shared/i18n'

/** Until an answer says another. */
export const zone = ref('Asia/Shanghai')

export const sayTime = (iso: string): string => formatTime(iso, currentLocale(), new Date(), zone.value)

export const sayMinute = (iso: string): string =>
  new Intl.DateTimeFormat(currentLocale(), { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: zone.value }).format(new Date(iso))
