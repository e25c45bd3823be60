/** From one total to another, step by step: what was, what changed it, what is. */
import { axisLook, ground, widthOf, type Look } from './look'
import { say, sayShort, type Column, type Table } from './table'

export interface Step {
  name: string
  /** A total stands on zero; a change stands where the step before ended. */
  amount: number
  total?: boolean
}

export function tableOfSteps(steps: Step[], first: Column, value: Column): Table {
  return { columns: [first, value], rows: steps.map((step) => [step.name, step.amount]) }
}

/** Where each step begins and ends. */
export function spansOf(steps: Step[]): { from: number; to: number }[] {
  let level = 0
  return steps.map((step) => {
    const from = step.total ? 0 : level
    level = from + step.amount
    return { from, to: level }
  })
}

/** A step's room in px below which its name and amount would run into its neighbours': the drawing lies down, a line a step. */
const ROOM = 76
/** Lying down: the most room that names have before the bars, and what amounts have behind them. */
const NAMES_MAX = 104
const AMOUNTS = 72

interface Api { value: (at: number) => number; coord: (at: [number, number]) => [number, number]; size: (at: [number, number]) => [number, number] }

export function drawWaterfall(steps: Step[], value: Pick<Column, 'unit' | 'currency'>): (look: Look) => object {
  return (look) => {
    const spans = spansOf(steps)
    const axes = axisLook(look)
    const room = look.width / Math.max(1, steps.length)
    const lying = room < ROOM
    const before = Math.min(NAMES_MAX, 16 + 6 * Math.max(0, ...steps.map((step) => widthOf(step.name))))
    const plus = (step: Step) => (!step.total && step.amount > 0 ? '+' : '')
    const names = {
      ...axes, id: 'names', type: 'category', data: steps.map((step) => step.name), inverse: lying, splitLine: { show: false },
      axisLabel: { ...look.label, interval: 0, width: lying ? before - 12 : room - 8, overflow: lying ? 'truncate' : 'break' },
    }
    const amounts = { ...axes, id: 'amounts', type: 'value', axisLine: { show: false }, splitNumber: lying ? 2 : 4, axisLabel: { ...look.label, hideOverlap: true, formatter: (amount: number) => sayShort(amount, value) } }
    return {
      ...ground(look),
      tooltip: { ...ground(look).tooltip, trigger: 'item', formatter: ({ dataIndex }: { dataIndex: number }) => `${steps[dataIndex]!.name}\n${plus(steps[dataIndex]!)}${say(steps[dataIndex]!.amount, value)}` },
      grid: [{ id: 'g0', ...(lying ? { left: before, right: AMOUNTS, top: 4, bottom: 24 } : { left: 60, right: 12, top: 28, bottom: 44 }), outerBoundsMode: 'none' }],
      xAxis: [lying ? amounts : names],
      yAxis: [lying ? names : amounts],
      series: [
        {
          id: 's0', type: 'custom', encode: lying ? { y: 0, x: [1, 2] } : { x: 0, y: [1, 2] }, data: spans.map((span, index) => [index, span.from, span.to]),
          renderItem: (_: unknown, api: Api) => {
            const index = api.value(0)
            const step = steps[index]!
            const draw = lying ? barAcross : barUp
            const { bar, on, label } = draw(api, index, index < steps.length - 1)
            return {
              type: 'group',
              children: [
                { type: 'rect', shape: { ...bar, r: 2 }, style: { fill: look.ink(step.total ? '--chart-viewers' : step.amount >= 0 ? '--good' : '--bad') } },
                ...(on ? [{ type: 'line', shape: on, style: { stroke: look.ink('--text-3'), lineDash: [2, 2] } }] : []),
                { type: 'text', style: { text: plus(step) + sayShort(step.amount, value), ...label, fill: look.ink('--text'), fontSize: 11, fontFamily: look.label.fontFamily } },
              ],
            }
          },
        },
      ],
    }
  }
}

/** A standing bar, the line on to the next one's foot, and its amount above. */
function barUp(api: Api, index: number, more: boolean) {
  const [x, a] = api.coord([index, api.value(1)])
  const [, b] = api.coord([index, api.value(2)])
  const width = Math.min(56, api.size([1, 0])[0] * 0.62)
  return {
    bar: { x: x - width / 2, y: Math.min(a, b), width, height: Math.max(1, Math.abs(a - b)) },
    on: more ? { x1: x + width / 2, y1: b, x2: api.coord([index + 1, 0])[0] - width / 2, y2: b } : null,
    label: { x, y: Math.min(a, b) - 5, align: 'center', verticalAlign: 'bottom' },
  }
}

/** A lying bar, the line down to the next one's foot, and its amount behind. */
function barAcross(api: Api, index: number, more: boolean) {
  const [a, y] = api.coord([api.value(1), index])
  const [b] = api.coord([api.value(2), index])
  const height = Math.min(24, api.size([0, 1])[1] * 0.62)
  return {
    bar: { x: Math.min(a, b), y: y - height / 2, width: Math.max(1, Math.abs(a - b)), height },
    on: more ? { x1: b, y1: y + height / 2, x2: b, y2: api.coord([0, index + 1])[1] - height / 2 } : null,
    label: { x: Math.max(a, b) + 5, y, align: 'left', verticalAlign: 'middle' },
  }
}
