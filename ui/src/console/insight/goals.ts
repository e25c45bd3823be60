/** Goals: what is to be reached, how it is written, how it stands. */
import { call } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import { t } from '@/shared/i18n'
import type { Level } from './pages'
import { say, type Column } from './parts/table'

type Schemas = components['schemas']
export type Goal = Schemas['GoalView']
export type GoalMeasure = Schemas['GoalMeasure']
export interface Whose { level: Schemas['Level']; of?: string }

export const listGoals = (whose: Whose, signal?: AbortSignal) => call('get', '/api/insight/goals', { query: { ...whose }, signal })
export const makeGoal = (whose: Whose, body: Schemas['NewGoal']) => call('post', '/api/insight/goals', { query: { ...whose }, body })
export const changeGoal = (whose: Whose, id: string, body: Schemas['GoalChange']) => call('patch', '/api/insight/goals/{goal_id}', { path: { goal_id: id }, query: { ...whose }, body })
export const dropGoal = (whose: Whose, id: string) => call('delete', '/api/insight/goals/{goal_id}', { path: { goal_id: id }, query: { ...whose } })

/** The platform's own two come first there. */
export const measuresOf = (level: Level): readonly GoalMeasure[] => (level === 'platform' ? ['fans', 'partners', 'gmv', 'buyers', 'watch'] : ['gmv', 'buyers', 'fans', 'watch'])
export const ofMoney = (measure: GoalMeasure): boolean => measure === 'gmv' || measure === 'partners'
export const DEFINE: Record<GoalMeasure, string> = { gmv: 'gmv_net', buyers: 'buyers', fans: 'fans_won', watch: 'watch', partners: 'goal' }

/** Targets of GMV are amounts; hours watched are hours; the rest are counts. */
export function sayValue(goal: Pick<Goal, 'measure' | 'currency'>, value: number | null): string {
  if (goal.measure === 'watch') return value === null ? '–' : t('insight.unit.h', { n: say(value, { unit: 'count' }) })
  const column: Pick<Column, 'unit' | 'currency'> = goal.measure === 'gmv' ? { unit: 'money', currency: goal.currency ?? 'CNY' } : { unit: 'count' }
  return say(value, column)
}

export interface Draft { measure: GoalMeasure; money: number | null; count: number | null; threshold: number | null; since: string; until: string; note: string }

/** What is missing before a goal can be written down. */
export function gapOf(draft: Draft): 'target' | 'threshold' | 'days' | null {
  const target = draft.measure === 'gmv' ? draft.money : draft.count
  if (!target || target < 1) return 'target'
  if (draft.measure === 'partners' && (!draft.threshold || draft.threshold < 1)) return 'threshold'
  return draft.since && draft.until && draft.since <= draft.until ? null : 'days'
}
