/** Where buyers come from: one order, one colour and one word each, wherever a source is shown. */
import { t } from '@/shared/i18n'

export const SOURCES = ['private', 'public_organic', 'public_paid', 'slot', 'shelf', 'share', 'pk', 'direct'] as const
export type Source = (typeof SOURCES)[number]

const known = (source: string): source is Source => (SOURCES as readonly string[]).includes(source)

/** Its colour's token; `imported` and whatever comes later is grey. */
export const inkOf = (source: string): string => (known(source) ? `--source-${source.replace('_', '-')}` : '--source-other')

export const wordOf = (source: string): string => (known(source) ? t(`insight.source.${source}`) : source === 'imported' ? t('insight.source.imported') : source)

/** Sources in their order, those unknown at the end. */
export function inOrder<T>(rows: readonly T[], of: (row: T) => string): T[] {
  const place = (row: T) => {
    const at = (SOURCES as readonly string[]).indexOf(of(row))
    return at < 0 ? SOURCES.length : at
  }
  return [...rows].sort((a, b) => place(a) - place(b))
}
