/** The board's curves as ECharts draws them: one time axis, a band a figure, pins across all of them. */
import { BarChart, LineChart } from 'echarts/charts'
import { AxisPointerComponent, DataZoomComponent, GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components'
import { init, use, type EChartsType } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { thin } from '../desk/chart'

use([BarChart, LineChart, AxisPointerComponent, DataZoomComponent, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer])

export interface Inks { text: string; quiet: string; line: string; surface: string; zoom: string; figures: string[] }
export interface Band { name: string; kind: 'line' | 'bar'; values: number[]; say: (value: number) => string }

const BAND = 108
/** Room for the names of what was pinned, above the first band's own name. */
const PINS = 18
const TOP = 48
const GAP = 26
const FOOT = 56

export function heightOf(bands: number): number {
  return TOP + bands * BAND + (bands - 1) * GAP + FOOT
}

export function draw(box: HTMLElement): EChartsType {
  return init(box, undefined, { renderer: 'canvas' })
}

/** A label takes so much of the axis (px). */
const LABEL = 96

export function optionOf(times: string[], bands: Band[], pins: { index: number; title: string }[], inks: Inks, width: number) {
  const small = { fontSize: 11, color: inks.quiet, fontFamily: 'inherit' }
  const last = bands.length - 1
  return {
    animation: false,
    axisPointer: { link: [{ xAxisIndex: 'all' }] },
    tooltip: {
      trigger: 'axis',
      renderMode: 'richText', // HTML tooltips carry inline styles, which the page's policy does not allow
      backgroundColor: inks.surface,
      borderColor: inks.line,
      textStyle: { color: inks.text, fontSize: 12 },
      formatter: (points: { dataIndex: number }[]) => {
        const index = points[0]?.dataIndex ?? 0
        const pinned = [...pins].reverse().find((pin) => pin.index <= index)
        return [times[index], ...bands.map((band) => `${band.name} ${band.say(band.values[index] ?? 0)}`), ...(pinned ? [`▲ ${pinned.title}`] : [])].join('\n')
      },
    },
    dataZoom: [{ type: 'slider', xAxisIndex: bands.map((_, index) => index), height: 16, bottom: 8, borderColor: inks.line, fillerColor: inks.zoom, showDataShadow: false, brushSelect: false, textStyle: small, labelFormatter: '' }],
    grid: bands.map((_, index) => ({ left: 56, right: 20, top: TOP + index * (BAND + GAP), height: BAND })),
    xAxis: bands.map((_, index) => ({
      type: 'category', gridIndex: index, data: times, axisTick: { show: false },
      axisLine: { lineStyle: { color: inks.line } }, axisLabel: { ...small, show: index === last, hideOverlap: true },
    })),
    yAxis: bands.map((band, index) => ({
      type: 'value', gridIndex: index, splitNumber: 2, minInterval: 1, name: band.name, nameTextStyle: { ...small, align: 'left', padding: [0, 0, 0, -44] }, nameGap: 10 + (index === 0 ? PINS : 0),
      splitLine: { lineStyle: { color: inks.line } }, axisLabel: { ...small, formatter: band.say },
    })),
    series: bands.map((band, index) => ({
      type: band.kind, name: band.name, xAxisIndex: index, yAxisIndex: index, data: band.values,
      showSymbol: band.values.length < 2, barMaxWidth: 14, lineStyle: { width: 2, color: inks.figures[index] }, itemStyle: { color: inks.figures[index] },
      markLine: {
        symbol: 'none', silent: true, lineStyle: { color: inks.quiet, type: 'dashed', width: 1 },
        label: { ...small, show: index === 0, formatter: ({ name }: { name: string }) => (name.length > 10 ? `${name.slice(0, 10)}…` : name) },
        data: thin(pins, (8 * times.length * LABEL) / width).map(({ index: at, title }) => ({ xAxis: at, name: title })),
      },
    })),
  }
}
