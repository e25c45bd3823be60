// The plain parts of the insight pages: periods, figures in words, curves, waterfalls, tables. No canvas.
import { beforeAll, describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { i18n } from '@/shared/i18n'
import { bandOf, factorsOf, pairs, shareOf, type OfDay, type OfSource } from '@/console/insight/overview'
import { drawBands, heightOf, tableOf, type Bands } from '@/console/insight/parts/bands'
import { drawHeat, tableOfHeat } from '@/console/insight/parts/heat'
import { clip, type Look } from '@/console/insight/parts/look'
import { addDays, compared, daysOf, isDay, listDays, preset, presetOf, PRESETS, todayIn } from '@/console/insight/parts/period'
import { inkOf, inOrder, SOURCES } from '@/console/insight/parts/sources'
import { say, sayChange, saySeconds, sayShort, sorted } from '@/console/insight/parts/table'
import { drawWaterfall, spansOf } from '@/console/insight/parts/waterfall'
import { pinsOf, stepsOf } from '@/console/insight/review'
import type { Board } from '@/console/board/board'

const words = (locale: string) => JSON.parse(readFileSync(`src/console/locales/${locale}.json`, 'utf8'))
const speak = (locale: 'zh-CN' | 'en') => (i18n.global.locale.value = locale)
const look: Look = { ink: (token) => token, width: 800, narrow: false, calm: true, label: { fontSize: 11, color: '', fontFamily: '' } }

beforeAll(() => {
  for (const locale of ['zh-CN', 'en']) i18n.global.setLocaleMessage(locale, { insight: words(locale).insight })
})

describe('a period', () => {
  it('ends with the day before until, over months and leap years', () => {
    expect(preset('d7', '2026-03-03')).toEqual({ since: '2026-02-25', until: '2026-03-04' })
    expect(preset('lastMonth', '2026-01-15')).toEqual({ since: '2025-12-01', until: '2026-01-01' })
    expect(preset('month', '2024-02-29')).toEqual({ since: '2024-02-01', until: '2024-03-01' })
    expect(daysOf(preset('d90', '2026-11-23'))).toBe(90)
    expect(listDays({ since: '2024-02-28', until: '2024-03-01' })).toEqual(['2024-02-28', '2024-02-29'])
  })

  it('is compared with as many days before, or with a year ago', () => {
    const period = { since: '2024-02-28', until: '2024-03-01' }
    expect(compared(period, 'before')).toEqual({ since: '2024-02-26', until: '2024-02-28' })
    expect(compared(period, 'year')).toEqual({ since: '2023-02-28', until: '2023-03-01' })
    expect(compared(period, 'none')).toBeNull()
  })

  it('knows every preset again', () => {
    for (const name of PRESETS) expect(preset(presetOf(preset(name, '2026-11-23'), '2026-11-23')!, '2026-11-23')).toEqual(preset(name, '2026-11-23'))
    expect(presetOf({ since: '2026-01-02', until: '2026-01-09' }, '2026-11-23')).toBeNull()
  })

  it('begins its day in the books’ zone', () => {
    expect(todayIn('Asia/Shanghai', new Date('2026-11-22T16:00:00Z'))).toBe('2026-11-23')
    expect(todayIn('UTC', new Date('2026-11-22T23:59:59Z'))).toBe('2026-11-22')
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01')
    expect([isDay('2026-02-30'), isDay('x'), isDay('2026-02-28')]).toEqual([false, false, true])
  })
})

describe('a figure', () => {
  const yuan = { unit: 'money' as const, currency: 'CNY' }

  it('is said in full and in short, in both languages, up to ten digits', () => {
    speak('en')
    expect([say(203_884_297_712, yuan), sayShort(203_884_297_712, yuan)]).toEqual(['¥2,038,842,977.12', '¥2B'])
    expect([say(-5_001, yuan), say(12_800, yuan), say(1_980, { unit: 'money', currency: 'JPY' })]).toEqual(['-¥50.01', '¥128', '¥1,980'])
    expect([sayShort(12_345, { unit: 'count' }), sayShort(-12_345, { unit: 'count' })]).toEqual(['12k', '-12k'])
    expect([saySeconds(4.25), saySeconds(249), saySeconds(5040), saySeconds(4_442_400)]).toEqual(['4.3 s', '4 min 9 s', '1 h 24 min', '1,234 h'])
    speak('zh-CN')
    expect([sayShort(203_884_297_712, yuan), sayShort(12_345, { unit: 'count' }), saySeconds(249)]).toEqual(['¥20.4亿', '1.2万', '4 分 9 秒'])
    expect([say(null, yuan), say('2026-11-02', { unit: 'day' }), say(0.1234, { unit: 'share' })]).toEqual(['–', '11月2日', '12.3%'])
  })

  it('has no change against nothing', () => {
    expect([sayChange(5, null), sayChange(5, 0), sayChange(null, 5)]).toEqual([null, null, null])
    expect([sayChange(150, 100), sayChange(90, 100), sayChange(100, 100), sayChange(-50, -100)]).toEqual(['+50%', '-10%', '0%', '+50%'])
    expect([shareOf(1, 4), shareOf(1, 0)]).toEqual([0.25, null])
  })

  it('is sorted with what is missing last, either way', () => {
    const table = { columns: [], rows: [[2], [null], [10], [1]] }
    expect(sorted(table, { column: 0, up: true })).toEqual([3, 0, 2, 1])
    expect(sorted(table, { column: 0, up: false })).toEqual([2, 0, 3, 1])
    expect(sorted(table, null)).toEqual([0, 1, 2, 3])
  })
})

const figures = { currency: 'CNY', uv: 1, watch_s: 10, buyers: 1, orders: 1, gmv_amount: 500, watch_per_viewer_s: 10, buyers_per_watch_hour: 360, orders_per_buyer: 1, conversion: 1, gmv_per_order_amount: 500 }
const day = (at: string, source: string, gmv_amount: number): OfDay => ({ ...figures, day: at, source, gmv_amount })
const of = (source: string, gmv_amount: number): OfSource => ({ ...figures, source, gmv_amount, period: 'now', since: '2026-11-01', until: '2026-11-02' })

describe('an overview', () => {
  it('stacks what adds up and never people', () => {
    const rows = [day('2026-11-02', 'slot', 3), day('2026-11-01', 'private', 5), day('2026-11-09', 'private', 9)]
    const days = ['2026-11-01', '2026-11-02']
    const money = bandOf(rows, days, 'gmv', 'GMV', 'CNY')
    expect(money.curves.map((curve) => [curve.ink, curve.values, curve.stack])).toEqual([['--source-private', [5, 0], 'gmv'], ['--source-slot', [0, 3], 'gmv']])
    expect(bandOf(rows, days, 'uv', 'UV', 'CNY').curves.every((curve) => curve.stack === undefined)).toBe(true)
    expect(bandOf([], days, 'gmv', 'GMV', 'CNY').curves).toEqual([])
  })

  it('has five factors, three where nobody watches, and lays periods beside each other', () => {
    expect(factorsOf(figures)).toHaveLength(5)
    expect(factorsOf({ ...figures, watch_s: 0 }).map((one) => one.key)).toEqual(['uv', 'conversion', 'gmv_per_order'])
    expect(pairs([of('shelf', 1)], [of('private', 2), of('shelf', 3)]).map((one) => [one.source, one.now?.gmv_amount ?? null, one.before?.gmv_amount ?? null])).toEqual([['private', null, 2], ['shelf', 1, 3]])
  })

  it('puts sources in one order, each in a colour of its own', () => {
    expect(inOrder(['direct', 'new', 'private'], (one) => one)).toEqual(['private', 'direct', 'new'])
    expect(new Set(SOURCES.map(inkOf)).size).toBe(SOURCES.length)
    expect(inkOf('imported')).toBe('--source-other')
  })
})

type Label = { x: number; y: number; text: string }
type Waterfall = { xAxis: { id: string }[]; yAxis: { id: string }[]; series: { renderItem: (params: object, api: object) => { children: { type: string; style: Label }[] } }[] }
type Axes = { yAxis: { max?: number }[] }
type Marked = { series: { markLine: { data: { label: { show: boolean } }[] } }[] }

/** The amount written beside a step, where a step takes so many pixels either way. */
function label(drawn: Waterfall, index: number, room: number): Label {
  const api = { value: (at: number) => (at === 0 ? index : 0), coord: ([x, y]: [number, number]) => [x * room, y * room], size: () => [room, room] }
  return drawn.series[0]!.renderItem({}, api).children.find((one) => one.type === 'text')!.style
}

type Drawn = { series: { type: string; data: unknown[]; sampling?: string; large?: boolean; areaStyle?: object; showSymbol?: boolean }[]; dataZoom: unknown[]; legend: object }
const bands = (points: number, stack = true): Bands => ({
  axis: { name: 'day', unit: 'day' }, x: listDays({ since: '2000-01-01', until: addDays('2000-01-01', points) }),
  bands: [{ name: 'GMV', unit: 'money', currency: 'CNY', curves: SOURCES.map((name) => ({ name, ink: inkOf(name), values: Array.from({ length: points }, (_, at) => at), ...(stack ? { stack: 'gmv' } : {}) })) }],
})

describe('a chart', () => {
  it('draws few points as bars and many as areas with a slider', () => {
    const few = drawBands(bands(30))(look) as Drawn
    expect([few.series[0]!.type, few.dataZoom.length]).toEqual(['bar', 0])
    const year = drawBands(bands(365))(look) as Drawn
    expect([year.series[0]!.type, year.dataZoom.length, year.series.length]).toEqual(['line', 2, SOURCES.length])
    expect(year.series[0]!.areaStyle).toBeDefined()
    expect(heightOf(bands(365))).toBeGreaterThan(heightOf(bands(30)))
  })

  it('thins ten thousand points to the pixels there are, and shows a lone one', () => {
    const many = drawBands(bands(10_000, false))(look) as Drawn
    expect([many.series[0]!.sampling, many.series[0]!.showSymbol]).toEqual(['lttb', false])
    expect((drawBands(bands(1, false))(look) as Drawn).series[0]!.showSymbol).toBe(true)
    expect((drawBands(bands(0))(look) as Drawn).series[0]!.data).toEqual([])
  })

  it('has its figures as a table too', () => {
    const table = tableOf(bands(3))
    expect(table.columns.map((column) => column.name)).toEqual(['day', ...SOURCES])
    expect(table.rows[2]).toEqual(['2000-01-03', ...SOURCES.map(() => 2)])
    const heat = { x: ['0', '1'], y: ['Jan', 'Feb'], cells: [[1, 0.5], [1, null]], value: { name: 'back', unit: 'share' as const } }
    expect(tableOfHeat(heat, { name: 'month', unit: 'text' }).rows).toEqual([['Jan', 1, 0.5], ['Feb', 1, null]])
    expect((drawHeat(heat)(look) as Drawn).series[0]!.data).toHaveLength(3)
  })

  it('stands each step of a waterfall where the one before ended, below zero too', () => {
    const steps = [{ name: 'before', amount: 10, total: true }, { name: 'a', amount: -15 }, { name: 'b', amount: 8 }, { name: 'now', amount: 3, total: true }]
    expect(spansOf(steps)).toEqual([{ from: 0, to: 10 }, { from: 10, to: -5 }, { from: -5, to: 3 }, { from: 0, to: 3 }])
    expect((drawWaterfall(steps, { unit: 'money', currency: 'CNY' })(look) as Drawn).series[0]!.data).toHaveLength(4)
  })

  it('lies a waterfall down where its steps have no room beside each other: no name and no amount runs into the next', () => {
    const steps = Array.from({ length: 8 }, (_, at) => ({ name: `factor ${at}`, amount: 1_234_567_890 }))
    const drawn = (width: number) => drawWaterfall(steps, { unit: 'money', currency: 'CNY' })({ ...look, width }) as Waterfall
    expect([drawn(1_100).xAxis[0]!.id, drawn(1_100).yAxis[0]!.id]).toEqual(['names', 'amounts'])
    const phone = drawn(326)
    expect([phone.xAxis[0]!.id, phone.yAxis[0]!.id]).toEqual(['amounts', 'names'])
    for (const width of [326, 700, 1_100]) {
      const labels = steps.map((_, index) => label(drawn(width), index, 40))
      expect(new Set(labels.map(({ x, y }) => (width === 326 ? y : x))).size).toBe(steps.length)
      expect(labels[0]!.text).toMatch(/^\+¥/)
    }
    const still = drawWaterfall([{ name: 'none', amount: 0 }], { unit: 'money', currency: 'CNY' })(look) as Waterfall
    expect(label(still, 0, 40).text).toBe('¥0')
  })

  it('has shares end at the whole, and no further than needed', () => {
    const axis = (...values: number[]) => (drawBands({ axis: { name: 'day', unit: 'text' }, x: values.map(String), bands: [{ name: 'kept', unit: 'share', curves: [{ name: 'kept', ink: '--good', values }] }] })(look) as Axes).yAxis[0]!.max
    expect([axis(1, 0.4), axis(0.83), axis(0.034), axis(0)]).toEqual([1, 1, 0.04, 0.01])
    expect(axis(1.4)).toBeUndefined()
  })

  it('names as many pins as there is room for, and draws every one', () => {
    const pins = Array.from({ length: 12 }, (_, index) => ({ index: index * 10, title: `pin ${index}` }))
    const named = (width: number) => (drawBands({ ...bands(120, false), pins })({ ...look, width }) as Marked).series[0]!.markLine.data.map((one) => one.label.show)
    expect([named(2_000).filter(Boolean).length, named(390).filter(Boolean).length, named(390).length]).toEqual([12, 2, 12])
  })

  it('clips a long title where its room ends, in either script', () => {
    expect([clip('獐子岛直供海参专场', 10), clip('Sunday', 10), clip('A very long title', 6)]).toEqual(['獐子岛直供…', 'Sunday', 'A very…'])
  })
})

describe('a review', () => {
  const minute = (at: string) => ({ at, audience: {}, sold: {} })
  const mark = (begins_at: string, product_id: string) => ({ begins_at, product_id })

  it('pins what was explained to the minute in which that began', () => {
    const board = { minutes: [minute('2026-11-02T12:00:00Z'), minute('2026-11-02T12:01:00Z')], marks: [mark('2026-11-02T11:59:59Z', 'a'), mark('2026-11-02T12:00:01Z', 'a'), mark('2026-11-02T12:00:40Z', 'b'), mark('2026-11-02T12:09:00Z', 'a')] } as unknown as Board
    expect(pinsOf(board, new Map([['a', 'Kelp'], ['b', 'Shrimp']]))).toEqual([{ index: 0, title: 'Shrimp' }, { index: 1, title: 'Kelp' }])
  })

  it('says each step as a part of those who came', () => {
    expect(stepsOf({ came: 200, watched: 150, clicked: 40, ordered: 10, paid: 9 }).map((step) => step.share)).toEqual([1, 0.75, 0.2, 0.05, 0.045])
    expect(stepsOf(null).map((step) => [step.count, step.share])).toEqual(Array(5).fill([0, null]))
  })
})
