/** Light or dark: the device's choice unless the person chose. Component libraries are told by their own class names. */
export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'laotie.theme'
const dark = window.matchMedia('(prefers-color-scheme: dark)')

export function chosenTheme(): Theme {
  const stored = localStorage.getItem(KEY)
  return stored === 'light' || stored === 'dark' ? stored : 'auto'
}

export function chooseTheme(theme: Theme): void {
  if (theme === 'auto') localStorage.removeItem(KEY)
  else localStorage.setItem(KEY, theme)
  apply()
}

export function isDark(): boolean {
  const theme = chosenTheme()
  return theme === 'dark' || (theme === 'auto' && dark.matches)
}

function apply(): void {
  const root = document.documentElement
  const theme = chosenTheme()
  if (theme === 'auto') delete root.dataset.theme
  else root.dataset.theme = theme
  root.classList.toggle('dark', isDark()) // Element Plus
  root.classList.toggle('van-theme-dark', isDark()) // Vant
}

export function followTheme(): void {
  apply()
  dark.addEventListener('change', apply)
}
