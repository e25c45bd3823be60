/** The pages of the insight section. A page is given `level`: whose figures it shows; those without it in `levels` do not have it. */
import type { Component } from 'vue'

export const LEVELS = ['shop', 'streamer', 'platform'] as const
export type Level = (typeof LEVELS)[number]

export interface InsightPage {
  /** Its address below the section, its word `insight.page.<key>`, its handle `insight-<key>`. */
  key: string
  levels: readonly Level[]
  page: () => Promise<{ default: Component }>
}

/** Add a page here and its word in both catalogues; rail, tabs and routes follow. */
export const PAGES: readonly InsightPage[] = [
  { key: 'overview', levels: LEVELS, page: () => import('./OverviewPage.vue') },
  { key: 'why', levels: LEVELS, page: () => import('./WhyPage.vue') },
  { key: 'growth', levels: LEVELS, page: () => import('./GrowthPage.vue') },
  { key: 'people', levels: LEVELS, page: () => import('./PeoplePage.vue') },
  { key: 'acquisition', levels: ['shop', 'platform'], page: () => import('./AcquisitionPage.vue') },
  { key: 'goals', levels: LEVELS, page: () => import('./GoalsPage.vue') },
  { key: 'repurchase', levels: LEVELS, page: () => import('./RepurchasePage.vue') },
]

export const SECTIONS: Record<Level, string> = { shop: 'insight', streamer: 'my-insight', platform: 'platform-insight' }
