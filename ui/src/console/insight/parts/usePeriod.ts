/** The period of an insight page, kept in its address, so that links and the way back show the same figures. */
import { computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { COMPARE, compared, isDay, preset, todayIn, type Compare, type Period, type Preset } from './period'
import { zone } from './zone'

export function usePeriod(usual: Preset = 'd30') {
  const route = useRoute()
  const router = useRouter()
  const today = computed(() => todayIn(zone.value))
  const put = (query: Record<string, string>) => void router.replace({ query: { ...route.query, ...query } })

  const period = computed<Period>({
    get: () => {
      const { since, until } = route.query
      return isDay(since) && isDay(until) && since < until ? { since, until } : preset(usual, today.value)
    },
    set: ({ since, until }) => put({ since, until }),
  })
  const compare = computed<Compare>({
    get: () => COMPARE.find((one) => one === route.query.compare) ?? 'before',
    set: (how) => put({ compare: how }),
  })
  const before = computed(() => compared(period.value, compare.value))
  return { period, compare, before, today }
}
