/** The minute curve as ECharts draws it; loaded with the desk only. Pins stand on the time axis. */
import { BarChart, LineChart } from 'echarts/charts'
import { GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components'
import { init, use, type EChartsType } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import type { Minute } from './curve'

use([BarChart, LineChart, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer])

export interface Inks { text: string; quiet: string; line: string; viewers: string; orders: string; surface: string }
export interface Words { viewers: string; orders: string; time: (at: number) => string; number: (value: number) => string }

const TITLE_MAX = 8

export function draw(box: HTMLElement): EChartsType {
  return init(box, undefined, { renderer: 'canvas' })
}

export function optionOf(line: Minute[], pins: { index: number; title: string }[], inks: Inks, words: Words) {
  const small = { fontSize: 11, color: inks.quiet, fontFamily: 'inherit' }
  return {
    animation: false,
    grid: { left: 44, right: 44, top: 26, bottom: 24 },
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText', // HTML tooltips carry inline styles, which the page's policy does not allow
      backgroundColor: inks.surface,
      borderColor: inks.line,
      textStyle: { color: inks.text, fontSize: 12 },
      formatter: (points: { dataIndex: number }[]) => {
        const minute = line[points[0]?.dataIndex ?? 0]
        if (!minute) return ''
        const pin = pins.find(({ index }) => line[index] === minute)
        return [
          words.time(minute.at), `${words.viewers} ${minute.viewers === null ? '–' : words.number(minute.viewers)}`,
          `${words.orders} ${words.number(minute.orders)}`, ...(pin ? [pin.title] : []),
        ].join('\n')
      },
    },
    xAxis: {
      type: 'category',
      data: line.map((minute) => words.time(minute.at)),
      axisLine: { lineStyle: { color: inks.line } },
      axisTick: { show: false },
      axisLabel: { ...small, hideOverlap: true },
    },
    yAxis: [
      { type: 'value', minInterval: 1, splitNumber: 3, splitLine: { lineStyle: { color: inks.line } }, axisLabel: { ...small, formatter: words.number } },
      { type: 'value', minInterval: 1, splitNumber: 3, splitLine: { show: false }, axisLabel: { ...small, formatter: words.number } },
    ],
    series: [
      {
        type: 'bar', yAxisIndex: 1, barMaxWidth: 14, data: line.map((minute) => minute.orders),
        itemStyle: { color: inks.orders, borderRadius: [2, 2, 0, 0] },
      },
      {
        type: 'line', data: line.map((minute) => minute.viewers), symbolSize: 6, showSymbol: line.filter(({ viewers }) => viewers !== null).length < 2, lineStyle: { color: inks.viewers, width: 2 },
        itemStyle: { color: inks.viewers },
        markLine: {
          symbol: 'none', silent: true, lineStyle: { color: inks.quiet, type: 'dashed', width: 1 },
          label: { ...small, formatter: ({ name }: { name: string }) => (name.length > TITLE_MAX ? `${name.slice(0, TITLE_MAX)}…` : name) },
          data: thin(pins, line.length).map(({ index, title }) => ({ xAxis: index, name: title })),
        },
      },
    ],
  }
}

/** Labels that would lie on one another are left out: of neighbours, the later pin stays. */
export function thin(pins: { index: number; title: string }[], width: number): { index: number; title: string }[] {
  const apart = Math.max(1, Math.ceil(width / 8))
  const kept: { index: number; title: string }[] = []
  for (const pin of [...pins].sort((one, other) => other.index - one.index)) {
    if (kept.every((other) => Math.abs(other.index - pin.index) >= apart)) kept.push(pin)
  }
  return kept.reverse()
}
