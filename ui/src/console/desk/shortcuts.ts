/** The desk's keys. None of them works while someone is typing, and none with Ctrl or Alt but undo. */
export type DeskAct = 'pin' | 'next' | 'shelf' | 'up' | 'down' | 'open' | 'undo' | 'search' | 'mute' | 'help'

export const SHORTCUTS: { act: DeskAct; keys: string[]; shown: string[] }[] = [
  { act: 'pin', keys: ['p'], shown: ['P'] },
  { act: 'next', keys: ['n'], shown: ['N'] },
  { act: 'shelf', keys: ['s'], shown: ['S'] },
  { act: 'down', keys: ['j', 'arrowdown'], shown: ['↓', 'J'] },
  { act: 'up', keys: ['k', 'arrowup'], shown: ['↑', 'K'] },
  { act: 'open', keys: ['e'], shown: ['E'] },
  { act: 'undo', keys: ['u', 'ctrl+z'], shown: ['U'] },
  { act: 'search', keys: ['/'], shown: ['/'] },
  { act: 'mute', keys: ['m'], shown: ['M'] },
  { act: 'help', keys: ['?'], shown: ['?'] },
]

export function actOf(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'target'>): DeskAct | null {
  const target = event.target as HTMLElement | null
  if (event.altKey || (target && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable))) return null
  const key = event.key.toLowerCase()
  const pressed = event.ctrlKey || event.metaKey ? `ctrl+${key}` : key
  return SHORTCUTS.find((shortcut) => shortcut.keys.includes(pressed))?.act ?? null
}
