/** Reviews: the questions that phone and console ask. */
import { call } from './ask'
import type { components } from './schema'

type Schemas = components['schemas']
export type Review = Schemas['ProductReview']
export type ReviewSummary = Schemas['ReviewSummary']
export type LineReview = Schemas['LineReviewView']
export type NewReview = Schemas['NewReview']
export type ReportReason = Schemas['ReviewReportReason']
export type JudgedReview = Schemas['JudgedReview']
export type ReviewWish = { order?: 'newest' | 'low'; with_pictures?: boolean; after?: string | null; limit?: number }

export const listReviews = (product_id: string, query: ReviewWish = {}) =>
  call('get', '/api/products/{product_id}/reviews', { path: { product_id }, query: { ...query, after: query.after ?? undefined } })
export const getReviewSummary = (product_id: string) => call('get', '/api/products/{product_id}/review-summary', { path: { product_id } })
export const getShopReviewSummary = (shop_id: string) => call('get', '/api/shops/{shop_id}/review-summary', { path: { shop_id } })
export const listOrderReviews = (order_id: string) => call('get', '/api/orders/{order_id}/reviews', { path: { order_id } })
export const writeReview = (order_id: string, review: NewReview) => call('post', '/api/orders/{order_id}/reviews', { path: { order_id }, body: review })
export const followUpReview = (review_id: string, text: string, pictures: string[]) =>
  call('put', '/api/reviews/{review_id}/follow-up', { path: { review_id }, body: { text, pictures } })
export const answerReview = (review_id: string, text: string) => call('put', '/api/reviews/{review_id}/answer', { path: { review_id }, body: { text } })
export const reportReview = (review_id: string, reason: ReportReason, note = '') =>
  call('post', '/api/reviews/{review_id}/reports', { path: { review_id }, body: { reason, note } })
export const listShopReviews = (shop_id: string, query: { unanswered?: boolean; low?: boolean; after?: string | null } = {}) =>
  call('get', '/api/shops/{shop_id}/reviews', { path: { shop_id }, query: { ...query, after: query.after ?? undefined } })
export const listReportedReviews = (after: string | null) => call('get', '/api/review-reports', { query: { after: after ?? undefined } })
export const judgeReview = (review_id: string, hide: boolean, reason: string) =>
  call('put', '/api/reviews/{review_id}/judgement', { path: { review_id }, body: { hide, reason } })
