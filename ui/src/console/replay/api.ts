/** What the console asks about recordings and clips. */
import { ask } from '@/shared/api/ask'
import type { Clip, Page, Recording, Replay, SurfaceSales } from '@/shared/api/types'

const show = (id: string) => ({ path: { id } })

export const getRecording = (id: string) => ask<Recording>('get', '/api/shows/{id}/recording', show(id))
export const getReplay = (id: string) => ask<Replay>('get', '/api/shows/{id}/replay', show(id))
export const publishReplay = (id: string, published: boolean) =>
  ask<{ published: boolean }>('patch', '/api/shows/{id}/replay', { ...show(id), body: { published } })
export const getReplaySales = (id: string) => ask<Page<SurfaceSales>>('get', '/api/shows/{id}/replay/sales', show(id))
export const listClips = (id: string) => ask<Page<Clip>>('get', '/api/shows/{id}/clips', show(id))
export const cutClip = (id: string, body: { id: string; from_at: string; to_at: string; product_id: string | null; title: string | null }) =>
  ask<Clip>('post', '/api/shows/{id}/clips', { ...show(id), body })
export const changeClip = (id: string, body: { title?: string; published?: boolean }) => ask<Clip>('patch', '/api/clips/{id}', { ...show(id), body })
export const removeClip = (id: string) => ask<void>('delete', '/api/clips/{id}', show(id))
export const setRecording = (records: boolean) => ask<{ records: boolean }>('patch', '/api/rooms/mine', { body: { records } })
