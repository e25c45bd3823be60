/**
 * 简体中文 and English, both written by hand. Words shared by the two pages stand in `common.*.json` under `common`;
 * each page brings its own catalogue. A catalogue is loaded when its language is chosen, before anything is shown.
 */
import { createI18n } from 'vue-i18n'

export const LOCALES = ['zh-CN', 'en'] as const
export type Locale = (typeof LOCALES)[number]

// Compiled messages: their shape is the compiler's affair.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Catalogue = Record<string, any>
type Loader = (locale: Locale) => Promise<{ default: Catalogue }>

const KEY = 'laotie.locale'

const common: Record<Locale, () => Promise<{ default: Catalogue }>> = {
  'zh-CN': () => import('./common.zh-CN.json'),
  en: () => import('./common.en.json'),
}

export const i18n = createI18n({
  legacy: false,
  locale: 'zh-CN',
  fallbackLocale: false,
  messages: {} as Record<string, Catalogue>,
  missingWarn: import.meta.env.DEV,
})

let pages: Loader = async () => ({ default: {} })

export function currentLocale(): Locale {
  return i18n.global.locale.value as Locale
}

export function t(key: string, named: Record<string, unknown> = {}): string {
  return i18n.global.t(key, named)
}

/** Whether the chosen language has words for the key. */
export function hasWords(key: string): boolean {
  return (i18n.global.te as (key: string) => boolean)(key)
}

/** The language stored on this device, else the best of the browser's languages. */
export function preferredLocale(): Locale {
  const stored = localStorage.getItem(KEY)
  if (stored === 'zh-CN' || stored === 'en') return stored
  for (const language of navigator.languages ?? [navigator.language]) {
    if (language.toLowerCase().startsWith('zh')) return 'zh-CN'
    if (language.toLowerCase().startsWith('en')) return 'en'
  }
  return 'en'
}

export async function startI18n(loader: Loader): Promise<void> {
  pages = loader
  await show(preferredLocale())
}

export async function setLocale(locale: Locale): Promise<void> {
  localStorage.setItem(KEY, locale)
  await show(locale)
}

async function show(locale: Locale): Promise<void> {
  const [shared, own] = await Promise.all([common[locale](), pages(locale)])
  i18n.global.setLocaleMessage(locale, { ...shared.default, ...own.default })
  i18n.global.locale.value = locale
  document.documentElement.lang = locale
}
