/** What the webhooks page asks: types, endpoints, deliveries, and sending again. */
import { ask } from '@/shared/api/ask'
import type { components } from '@/shared/api/schema'
import type { Page } from '@/shared/api/types'
import { hasWords, t } from '@/shared/i18n'
import { newId } from '@/shared/ids'
import type { Tone } from '../parts/tones'

export type MessageType = components['schemas']['WebhookType']
export type Endpoint = components['schemas']['WebhookEndpoint']
export type Delivery = components['schemas']['WebhookDelivery']
export type Exchange = components['schemas']['WebhookExchange']
export type Attempt = components['schemas']['WebhookAttempt']
export interface EndpointForm { url: string; types: string[]; description: string }
export interface DeliveryQuery { endpoint_id?: string; state?: string; about?: string; after?: string | null }

export const DELIVERY_TONES: Record<Delivery['state'], Tone> = { waiting: 'warn', delivered: 'good', given_up: 'bad' }
export const ENDPOINT_TONES: Record<Endpoint['state'], Tone> = { active: 'good', paused: 'plain', disabled: 'bad' }

export const listTypes = async () => (await ask<{ items: MessageType[] }>('get', '/api/webhook-types')).items
export const listEndpoints = async (shop: string) => (await ask<{ items: Endpoint[] }>('get', '/api/shops/{shop}/webhooks', { path: { shop } })).items
export const newEndpoint = (shop: string, body: EndpointForm & { id: string }) =>
  ask<{ endpoint: Endpoint; secret: string | null }>('post', '/api/shops/{shop}/webhooks', { path: { shop }, body })
export const changeEndpoint = (id: string, body: Partial<EndpointForm> & { paused?: boolean }) =>
  ask<Endpoint>('patch', '/api/webhooks/{id}', { path: { id }, body })
export const removeEndpoint = (id: string) => ask<void>('delete', '/api/webhooks/{id}', { path: { id } })
export const rotateSecret = (id: string) =>
  ask<{ secret: string; old_secret_until: string }>('post', '/api/webhooks/{id}/secret', { path: { id }, body: {} })
export const pingEndpoint = (id: string) => ask<Delivery>('post', '/api/webhooks/{id}/pings', { path: { id }, body: { id: newId() } })
export const replayFailed = (id: string, since: string) =>
  ask<{ count: number }>('post', '/api/webhooks/{id}/replays', { path: { id }, body: { since } })
export const listDeliveries = (shop: string, query: DeliveryQuery) =>
  ask<Page<Delivery>>('get', '/api/shops/{shop}/webhook-deliveries', { path: { shop }, query: { ...query, limit: 20 } })
export const getDelivery = (id: string) => ask<Exchange>('get', '/api/webhook-deliveries/{id}', { path: { id } })
export const replayDelivery = (id: string) => ask<Delivery>('post', '/api/webhook-deliveries/{id}/replays', { path: { id }, body: {} })

/** What a type is called here; one of a newer server by its own name. */
export const typeName = (type: string) => (hasWords(`webhooks.types.${type}`) ? t(`webhooks.types.${type}`) : type)

/** What came of a call in a word: the status, or why there was no answer. */
export function outcome(one: { status: number | null; failure: string | null }): string {
  if (one.status !== null) return String(one.status)
  if (one.failure === null) return '—'
  return hasWords(`webhooks.failure.${one.failure}`) ? t(`webhooks.failure.${one.failure}`) : one.failure
}
