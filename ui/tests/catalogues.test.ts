// Words live in the catalogues, in both languages, and nowhere else.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'vue/compiler-sfc'
import { describe, expect, it } from 'vitest'

const ROOT = join(process.cwd(), 'src')
const PAIRS = [
  ['shared/i18n/common.zh-CN.json', 'shared/i18n/common.en.json'],
  ['phone/locales/zh-CN.json', 'phone/locales/en.json'],
  ['console/locales/zh-CN.json', 'console/locales/en.json'],
] as const

/** Attributes whose value a person sees or hears. */
const SPOKEN = new Set(['alt', 'title', 'label', 'placeholder', 'aria-label', 'aria-description', 'content', 'text', 'description'])
/** Signs and symbols that are no language: ×, ·, @, /. */
const LETTERS = /\p{L}/u
/** Units are written alike in every language. */
const UNITS = new Set(['Mb/s', 'kb/s', 'Mbps', 'kbps', 'fps', 'ms'])
const CHINESE = /\p{Script=Han}/u

type Json = { [key: string]: string | Json }

function flatten(words: Json, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>()
  for (const [key, value] of Object.entries(words)) {
    const path = prefix ? `${prefix}.${key}` : key
    if (typeof value === 'string') flat.set(path, value)
    else for (const [inner, text] of flatten(value, path)) flat.set(inner, text)
  }
  return flat
}

function read(path: string): Map<string, string> {
  return flatten(JSON.parse(readFileSync(join(ROOT, path), 'utf8')))
}

const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((path) => /\.(vue|ts)$/.test(path) && !path.endsWith('.d.ts'))
const sources = new Map(files.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))
const vues = files.filter((path) => path.endsWith('.vue'))

interface Node { type: number; content?: string | Node; props?: Node[]; children?: Node[]; branches?: Node[]; name?: string; value?: { content: string } }

/** Text that stands in a template as itself. */
function strays(node: Node): string[] {
  const found: string[] = []
  if (node.type === 2 && typeof node.content === 'string' && LETTERS.test(node.content) && !UNITS.has(node.content.trim())) found.push(node.content.trim())
  for (const prop of node.props ?? []) {
    if (prop.type === 6 && SPOKEN.has(prop.name ?? '') && LETTERS.test(prop.value?.content ?? '')) found.push(`${prop.name}="${prop.value!.content}"`)
  }
  for (const child of node.children ?? []) found.push(...strays(child))
  return found
}

describe('the catalogues', () => {
  it.each(PAIRS)('%s and %s have the same keys', (zh, en) => {
    expect([...read(zh).keys()].sort()).toEqual([...read(en).keys()].sort())
  })

  it.each(PAIRS)('%s and %s name the same values', (zh, en) => {
    const names = (text: string) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))].sort()
    const english = read(en)
    const differing = [...read(zh)].filter(([key, text]) => names(text).join() !== names(english.get(key) ?? '').join())
    expect(differing.map(([key]) => key)).toEqual([])
  })

  it('hold every word of the templates', () => {
    const found = vues.flatMap((path) => {
      const { descriptor } = parse(sources.get(path)!, { filename: path })
      const tree = descriptor.template?.ast as Node | undefined
      return tree ? strays(tree).map((text) => `${path}: ${text}`) : []
    })
    expect(found).toEqual([])
  })

  it('hold every Chinese word of the code', () => {
    const found = files.flatMap((path) => {
      const code = sources.get(path)!.replace(/\/\*[\s\S]*?\*\/|<!--[\s\S]*?-->|(^|\s)\/\/.*$/gm, '')
      return code.split('\n').filter((line) => CHINESE.test(line) && path !== 'shared/format.ts' /* 万 and 亿 */).map((line) => `${path}: ${line.trim()}`)
    })
    expect(found).toEqual([])
  })

  it('know every key that is asked for', () => {
    const known = new Set([...PAIRS.flatMap(([zh]) => [...read(zh).keys()])])
    const groups = [...known]
    const missing: string[] = []
    for (const [path, code] of sources) {
      for (const [, key] of code.matchAll(/['"]((?:common|phone|console)(?:\.[\w-]+)+)['"]/g)) {
        if (!known.has(key!)) missing.push(`${path}: ${key}`)
      }
      for (const [, prefix] of code.matchAll(/`((?:common|phone|console)\.[\w.-]*)\$\{/g)) {
        if (!groups.some((key) => key.startsWith(prefix!))) missing.push(`${path}: ${prefix}…`)
      }
    }
    expect(missing).toEqual([])
  })

  it('hold nothing that nobody asks for', () => {
    const code = [...sources.values()].join('\n')
    const prefixes = [...code.matchAll(/`((?:common|phone|console)\.[\w.-]*)\$\{/g)].map((match) => match[1]!)
    const idle = PAIRS.flatMap(([zh]) => [...read(zh).keys()])
      .filter((key) => !code.includes(`'${key}'`) && !code.includes(`"${key}"`) && !prefixes.some((prefix) => key.startsWith(prefix)))
    expect(idle.filter((key) => key.startsWith('phone.'))).toEqual([])
  })
})
