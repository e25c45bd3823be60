import { currentLocale } from '@/shared/i18n'

/** 1.2 GB */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0)
  const digits = step > 1 ? 1 : 0
  return `${new Intl.NumberFormat(currentLocale(), { maximumFractionDigits: digits }).format(bytes / 1000 ** step)} ${units[step]}`
}
