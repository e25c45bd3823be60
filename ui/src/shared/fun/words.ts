/** Rules and odds as the server names them (`fun.rule.ends` {seconds}), in the words of the chosen language. */
import type { ActivityLine } from '../api/types'
import { t } from '../i18n'

export function sayLine(line: ActivityLine): string {
  const key = line.key === 'fun.rule.followers' && !line.facts.minutes ? 'fun.rule.followers_now' : line.key
  return t(`common.${key}`, line.facts)
}
