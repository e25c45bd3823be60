/**
 * Curves and bars over one axis of days, minutes or names: a band for each unit, one under the other, pins across all.
 * Up to `BARS_MAX` points stacks are bars, beyond they are areas; beyond `ZOOM_FROM` there is a slider; unstacked lines are
 * thinned to the pixels there are, so 10,000 points draw like 800.
 */
import { minorUnits } from '@/shared/format'
import { axisLook, clip, ground, type Look } from './look'
import { say, sayShort, type Cell, type Column, type Table } from './table'

export interface Curve {
  name: string
  /** A colour token, as `--source-private`. */
  ink: string
  values: (number | null)[]
  kind?: 'line' | 'bar'
  /** Curves of the same stack stand on each other. */
  stack?: string
  /** What was, or what is to come: drawn lighter. */
  dashed?: boolean
}

export interface Band {
  /** Said above the band where there are several, and once for the axis. */
  name: string
  unit: Column['unit']
  currency?: string
  curves: Curve[]
  height?: number
}

export interface Pin {
  index: number
  title: string
}

export interface Bands {
  /** What the axis counts, as the table's first column. */
  axis: Pick<Column, 'name' | 'unit'>
  x: string[]
  bands: Band[]
  pins?: Pin[]
}

const BARS_MAX = 62
const ZOOM_FROM = 120
const PINS = 18
const GAP = 34
const SLIDER = 34
/** Below the axis; more where names may have to stand aslant. */
const FOOT = 28
const ASLANT = 30
const NAMES_MAX = 12
/** A name's room under which names stand aslant, so that all are read (px). */
const NAME = 64

export function heightOf({ axis, x, bands, pins }: Bands): number {
  return top(bands, pins) + bands.reduce((sum, band) => sum + room(band, bands.length), 0) + (bands.length - 1) * GAP + FOOT + (named(axis, x) ? ASLANT : 0) + (x.length > ZOOM_FROM ? SLIDER : 0)
}

const room = (band: Band, bands: number) => band.height ?? (bands > 1 ? 116 : 220)
/** A few names, of which none may be left out, as times may. */
const named = (axis: Bands['axis'], x: string[]) => axis.unit === 'text' && x.length > 4 && x.length <= NAMES_MAX
const legend = (bands: Band[]) => bands.some((band) => band.curves.length > 1)
const top = (bands: Band[], pins?: Pin[]) => (legend(bands) ? 32 : 8) + (bands.length > 1 ? 18 : 8) + (pins?.length ? PINS : 0)

/** The same figures as a table: one row a point. */
export function tableOf({ axis, x, bands }: Bands): Table {
  const several = bands.length > 1
  const curves = bands.flatMap((band) => band.curves.map((curve) => ({ band, curve })))
  return {
    columns: [axis, ...curves.map(({ band, curve }) => ({ name: several && band.curves.length > 1 ? `${band.name} · ${curve.name}` : curve.name, unit: band.unit, currency: band.currency }))],
    rows: x.map((at, index) => [at, ...curves.map(({ curve }): Cell => curve.values[index] ?? null)]),
  }
}

export function drawBands(bands: Bands): (look: Look) => object {
  return (look) => {
    const { x, pins = [] } = bands
    const labels = x.map((at) => say(at, bands.axis))
    const zoomed = x.length > ZOOM_FROM
    const axes = axisLook(look)
    const aslant = named(bands.axis, x) && look.width / x.length < NAME
    const left = look.narrow ? 46 : 60
    const curves = bands.bands.flatMap((band, at) => band.curves.map((curve) => ({ band, at, curve })))
    let y = top(bands.bands, pins)
    const places = bands.bands.map((band) => {
      const place = { top: y, height: room(band, bands.bands.length) }
      y += place.height + GAP
      return place
    })
    const indexes = bands.bands.map((_, at) => at)
    return {
      ...ground(look),
      legend: legend(bands.bands) ? { type: 'scroll', top: 0, left: 0, right: 0, icon: 'roundRect', itemWidth: 10, itemHeight: 10, itemGap: 14, data: [...new Set(curves.filter(({ band }) => band.curves.length > 1).map(({ curve }) => curve.name))], textStyle: { color: look.ink('--text-2'), fontSize: 12 }, inactiveColor: look.ink('--text-3'), pageTextStyle: { color: look.ink('--text-2') }, pageIconColor: look.ink('--text-2'), pageIconInactiveColor: look.ink('--line') } : { show: false },
      axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: look.ink('--text-3') }, label: { show: false } },
      tooltip: { ...ground(look).tooltip, trigger: 'axis', formatter: (points: { dataIndex: number }[]) => tip(bands, labels, points[0]?.dataIndex ?? 0) },
      dataZoom: zoomed
        ? [
            { id: 'slider', type: 'slider', xAxisIndex: indexes, height: 18, bottom: 6, left, right: 16, borderColor: look.ink('--line'), fillerColor: look.ink('--zoom'), dataBackground: { lineStyle: { color: look.ink('--text-3') }, areaStyle: { color: look.ink('--surface-2') } }, selectedDataBackground: { lineStyle: { color: look.ink('--text-2') }, areaStyle: { color: look.ink('--surface-2') } }, handleStyle: { color: look.ink('--surface'), borderColor: look.ink('--text-3') }, moveHandleStyle: { color: look.ink('--text-3') }, emphasis: { moveHandleStyle: { color: look.ink('--text-2') }, handleStyle: { borderColor: look.ink('--text-2') } }, brushSelect: false, showDetail: false },
            { id: 'inside', type: 'inside', xAxisIndex: indexes, zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false, preventDefaultMouseMove: false },
          ]
        : [],
      grid: places.map((place, at) => ({ id: `g${at}`, left, right: 16, ...place, outerBoundsMode: 'none' })),
      xAxis: bands.bands.map((_, at) => ({
        ...axes, id: `x${at}`, gridIndex: at, type: 'category', data: labels, boundaryGap: curves.some((one) => one.at === at && isBar(one.curve, x.length)), splitLine: { show: false },
        axisLabel: { ...look.label, show: at === bands.bands.length - 1, hideOverlap: true, alignMinLabel: labels.length > 2 ? 'left' : null, alignMaxLabel: labels.length > 2 ? 'right' : null, ...(aslant ? { rotate: 40, interval: 0, hideOverlap: false, alignMinLabel: null, alignMaxLabel: null, formatter: (name: string) => clip(name, 12) } : {}) },
      })),
      yAxis: bands.bands.map((band, at) => ({
        ...axes, id: `y${at}`, gridIndex: at, type: 'value', axisLine: { show: false }, splitNumber: bands.bands.length > 1 ? 2 : 4, ...(band.unit === 'count' ? { minInterval: 1 } : band.unit === 'money' ? { minInterval: minorUnits(band.currency ?? 'CNY') } : {}), ...stepOf(band),
        name: bands.bands.length > 1 ? band.name : '', nameGap: 10 + (at === 0 && pins.length ? PINS : 0), nameTextStyle: { ...look.label, fontSize: 12, align: 'left', padding: [0, 0, 0, 8 - left] },
        axisLabel: { ...look.label, formatter: (value: number) => sayShort(value, band) },
      })),
      series: curves.map(({ at, curve }, index) => {
        const colour = look.ink(curve.ink)
        const bar = isBar(curve, x.length)
        const area = curve.stack !== undefined && !bar
        return {
          id: `s${at} ${curve.name} ${index}`, name: curve.name, type: bar ? 'bar' : 'line', xAxisIndex: at, yAxisIndex: at, data: curve.values, stack: curve.stack && `${at} ${curve.stack}`,
          cursor: 'default', itemStyle: { color: colour, opacity: curve.dashed && bar ? 0.45 : 1 }, emphasis: { disabled: true },
          ...(bar
            ? { barMaxWidth: 28, barCategoryGap: '28%', large: x.length > 2000 }
            : { lineStyle: { color: colour, width: area ? 0 : 2, type: curve.dashed ? 'dashed' : 'solid' }, ...(area ? { areaStyle: { color: colour, opacity: 0.9 } } : { sampling: 'lttb' }), showSymbol: lone(curve.values), symbol: 'circle', symbolSize: 6, connectNulls: false }),
          ...(pins.length && curves.findIndex((one) => one.at === at) === index ? { markLine: markOf(pins, x.length, look, at === 0) } : {}),
        }
      }),
    }
  }
}

const isBar = (curve: Curve, points: number) => (curve.kind ?? (curve.stack ? 'bar' : 'line')) === 'bar' && !(curve.stack && points > BARS_MAX)

/** A single point has no line to be seen by. */
function lone(values: (number | null)[]): boolean {
  return values.filter((value) => value !== null).length < 3
}

/** Time is counted in sixties, and a part is never more than its whole; all other axes are counted in tens. */
function stepOf({ unit, curves }: Band): object {
  if (unit !== 'seconds' && unit !== 'share') return {}
  const values = curves.flatMap((curve) => curve.values)
  const max = values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0)
  if (unit === 'share') {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((one) => max / one <= 5) ?? 0.25
    return max > 1 || values.some((value) => (value ?? 0) < 0) ? {} : { interval: step, max: Math.min(1, Math.max(1, Math.ceil(max / step)) * step) }
  }
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18_000, 36_000].find((one) => max / one <= 4) ?? 10 ** Math.ceil(Math.log10(max / 4 / 3600)) * 3600
  return { interval: step, max: Math.max(1, Math.ceil(max / step)) * step }
}

function tip({ bands, pins = [] }: Bands, labels: string[], index: number): string {
  const pinned = [...pins].reverse().find((pin) => pin.index <= index)
  const lines = bands.flatMap((band) => {
    const shown = band.curves.filter((curve) => (curve.values[index] ?? null) !== null && !(curve.stack && curve.values[index] === 0))
    const stacked = band.curves.filter((curve) => curve.stack)
    const sum = stacked.length > 1 ? [`${band.name}  ${say(stacked.reduce((all, curve) => all + (curve.values[index] ?? 0), 0), band)}`] : []
    return [...sum, ...shown.map((curve) => `${stacked.length > 1 && curve.stack ? '  ' : ''}${curve.name}  ${say(curve.values[index], band)}`)]
  })
  return [labels[index] ?? '', ...lines, ...(pinned ? [`▲ ${clip(pinned.title, 40)}`] : [])].join('\n')
}

/** The room of a pin's name, what the axis leaves at both sides, and the room under which pins are only hinted at, so that the curves are seen (px). */
const LABEL = 104
const SIDES = 76
const MANY = 32

/** Where a name of a pin stands: in the middle of its line, unless that would take it over an edge. */
function placeOf(at: number, width: number): { align: 'left' | 'center' | 'right'; from: number } {
  if (at < LABEL / 2) return { align: 'left', from: at }
  return at > width - LABEL / 2 ? { align: 'right', from: at - LABEL } : { align: 'center', from: at - LABEL / 2 }
}

function markOf(pins: Pin[], points: number, look: Look, named: boolean) {
  const width = look.width - SIDES
  let free = -Infinity
  const data = pins.map((pin) => {
    const { align, from } = placeOf((pin.index / Math.max(1, points - 1)) * width, width)
    const shown = named && from >= free
    if (shown) free = from + LABEL
    return { xAxis: pin.index, name: pin.title, label: { ...look.label, opacity: 1, align, show: shown, formatter: clip(pin.title, 15), position: 'end' } }
  })
  const many = (pins.length * MANY) / look.width > 1
  return { symbol: 'none', silent: true, animation: false, lineStyle: { color: look.ink('--text-3'), type: 'dashed', width: 1, opacity: many ? 0.4 : 1 }, data }
}
