/** A field of cells, the fuller the stronger: cohorts by month, sources by hour. Empty cells (null) stay blank. */
import { axisLook, clip, ground, type Look } from './look'
import { say, sayShort, type Column, type Table } from './table'

export interface Heat {
  x: string[]
  y: string[]
  /** `cells[row][column]`; the first row is drawn on top. */
  cells: (number | null)[][]
  value: Column
}

const ROW = 28

export const heightOfHeat = ({ y }: Heat) => 36 + Math.max(1, y.length) * ROW + 8

export function tableOfHeat({ x, y, cells, value }: Heat, first: Column): Table {
  return { columns: [first, ...x.map((name) => ({ ...value, name }))], rows: y.map((name, row) => [name, ...x.map((_, column) => cells[row]?.[column] ?? null)]) }
}

export function drawHeat({ x, y, cells, value }: Heat): (look: Look) => object {
  return (look) => {
    const data = cells.flatMap((row, at) => row.flatMap((cell, column) => (cell === null ? [] : [[column, at, cell]])))
    const most = Math.max(...data.map((cell) => cell[2]!), 0)
    const axes = axisLook(look)
    const wide = (look.width - 84) / Math.max(1, x.length) >= 44
    return {
      ...ground(look),
      tooltip: { ...ground(look).tooltip, trigger: 'item', formatter: ({ value: [column, row, cell] }: { value: [number, number, number] }) => `${y[row]} · ${x[column]}\n${value.name}  ${say(cell, value)}` },
      grid: [{ id: 'g0', left: 84, right: 8, top: 32, bottom: 4, outerBoundsMode: 'none' }],
      xAxis: [{ ...axes, id: 'x0', type: 'category', position: 'top', data: x, axisLine: { show: false }, splitLine: { show: false }, axisLabel: { ...look.label, hideOverlap: true } }],
      yAxis: [{ ...axes, id: 'y0', type: 'category', inverse: true, data: y, axisLine: { show: false }, splitLine: { show: false }, axisLabel: { ...look.label, formatter: (name: string) => clip(name, 12) } }],
      visualMap: [{ id: 'v0', show: false, type: 'continuous', min: 0, max: most || 1, dimension: 2, inRange: { color: [look.ink('--heat-low'), look.ink('--heat-high')] } }],
      series: [{ id: 's0', type: 'heatmap', data, itemStyle: { borderColor: look.ink('--surface'), borderWidth: 2, borderRadius: 4 }, emphasis: { disabled: true }, label: { show: wide, color: look.ink('--text'), fontSize: 11, formatter: ({ value: cell }: { value: number[] }) => sayShort(cell[2]!, value) } }],
    }
  }
}
