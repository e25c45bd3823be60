/** From one total to another, step by step: what was, what changed it, what is. */
import { axisLook, clip, ground, type Look } from './look'
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

export function drawWaterfall(steps: Step[], value: Pick<Column, 'unit' | 'currency'>): (look: Look) => object {
  return (look) => {
    const spans = spansOf(steps)
    const axes = axisLook(look)
    const signed = (step: Step) => (step.total || step.amount < 0 ? '' : '+') + sayShort(step.amount, value)
    const tight = look.width / Math.max(1, steps.length) < 56
    return {
      ...ground(look),
      tooltip: { ...ground(look).tooltip, trigger: 'item', formatter: ({ dataIndex }: { dataIndex: number }) => `${steps[dataIndex]!.name}\n${steps[dataIndex]!.amount > 0 && !steps[dataIndex]!.total ? '+' : ''}${say(steps[dataIndex]!.amount, value)}` },
      grid: [{ id: 'g0', left: look.narrow ? 46 : 60, right: 12, top: 28, bottom: tight ? 84 : 44, outerBoundsMode: 'none' }],
      xAxis: [{ ...axes, id: 'x0', type: 'category', data: steps.map((step) => step.name), splitLine: { show: false }, axisLabel: { ...look.label, interval: 0, rotate: tight ? 60 : 0, formatter: (name: string) => clip(name, tight ? 14 : 16) } }],
      yAxis: [{ ...axes, id: 'y0', type: 'value', axisLine: { show: false }, splitNumber: 4, axisLabel: { ...look.label, formatter: (amount: number) => sayShort(amount, value) } }],
      series: [
        {
          id: 's0', type: 'custom', encode: { x: 0, y: [1, 2] }, data: spans.map((span, index) => [index, span.from, span.to]),
          renderItem: (_: unknown, api: { value: (at: number) => number; coord: (at: number[]) => number[]; size: (at: number[]) => number[] }) => {
            const index = api.value(0)
            const step = steps[index]!
            const [x, a] = api.coord([index, api.value(1)]) as [number, number]
            const [, b] = api.coord([index, api.value(2)]) as [number, number]
            const width = Math.min(56, api.size([1, 0])[0]! * 0.62)
            const next = api.coord([index + 1, 0])[0]! - width / 2
            const fill = look.ink(step.total ? '--chart-viewers' : step.amount >= 0 ? '--good' : '--bad')
            return {
              type: 'group',
              children: [
                { type: 'rect', shape: { x: x - width / 2, y: Math.min(a, b), width, height: Math.max(1, Math.abs(a - b)), r: 2 }, style: { fill } },
                ...(index < steps.length - 1 ? [{ type: 'line', shape: { x1: x + width / 2, y1: b, x2: next, y2: b }, style: { stroke: look.ink('--text-3'), lineDash: [2, 2] } }] : []),
                ...(tight && look.narrow && steps.length > 12 ? [] : [{ type: 'text', style: { text: signed(step), x, y: Math.min(a, b) - 5, align: 'center', verticalAlign: 'bottom', fill: look.ink('--text'), fontSize: 11 } }]),
              ],
            }
          },
        },
      ],
    }
  }
}
