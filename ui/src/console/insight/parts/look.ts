/** How charts look: inks from the page's tokens, so that both themes follow by themselves. */

export interface Look {
  /** A token's colour as the browser resolves it now: `ink('--accent-vivid')`. */
  ink: (token: string) => string
  width: number
  /** Narrow: a phone. Fewer labels, less room at the sides. */
  narrow: boolean
  /** No movement: the person asked for none. */
  calm: boolean
  label: { fontSize: number; color: string; fontFamily: string }
}

export function lookAt(box: HTMLElement): Look {
  const probe = document.createElement('i')
  const known = new Map<string, string>()
  const ink = (token: string): string => {
    let colour = known.get(token)
    if (colour === undefined) {
      probe.style.color = `var(${token})`
      box.append(probe)
      colour = getComputedStyle(probe).color
      probe.remove()
      known.set(token, colour)
    }
    return colour
  }
  const width = box.clientWidth || 800
  return { ink, width, narrow: width < 560, calm: window.matchMedia('(prefers-reduced-motion: reduce)').matches, label: { fontSize: 11, color: ink('--text-2'), fontFamily: getComputedStyle(box).fontFamily } }
}

/** What every chart of ours shares; the chart's own option is laid over it. HTML tooltips carry inline styles, which the page's policy forbids. */
export function ground(look: Look) {
  return {
    animation: !look.calm,
    animationDuration: 200,
    animationDurationUpdate: 200,
    textStyle: { fontFamily: look.label.fontFamily, color: look.ink('--text') },
    tooltip: {
      renderMode: 'richText' as const, confine: true, backgroundColor: look.ink('--surface'), borderColor: look.ink('--line'), borderWidth: 1, padding: [8, 10],
      textStyle: { color: look.ink('--text'), fontSize: 12, lineHeight: 18 },
    },
  }
}

export const axisLook = (look: Look) => ({ axisLine: { lineStyle: { color: look.ink('--line') } }, axisTick: { show: false }, splitLine: { lineStyle: { color: look.ink('--line') } } })

/** How many letters' room a text takes; a Chinese character takes that of two. */
export const widthOf = (text: string): number => [...text].reduce((sum, sign) => sum + (sign.charCodeAt(0) > 0x2e7f ? 2 : 1), 0)

/** A title no longer than a label's room. */
export function clip(text: string, room = 20): string {
  let taken = 0
  for (const [index, sign] of [...text].entries()) {
    taken += widthOf(sign)
    if (taken > room) return `${[...text].slice(0, index).join('')}…`
  }
  return text
}
