/**
 * One way to ask the server. Cookies go along, unsafe methods carry the CSRF token, an answer is a value, and anything
 * else is thrown as a `Refused` whose `code` the pages know by name (see /problems/<code>).
 */
import createClient from 'openapi-fetch'
import { heardServer } from '../now'
import type { paths } from './schema'

export class Refused extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly facts: Record<string, unknown> = {},
    title = code,
  ) {
    super(title)
    this.name = 'Refused'
  }
}

export interface AskOptions {
  path?: Record<string, string>
  query?: Record<string, string | number | boolean | null | undefined>
  body?: unknown
  signal?: AbortSignal
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const http = createClient<any>({ baseUrl: globalThis.location?.origin ?? '', credentials: 'same-origin' })

let csrf = ''

/** Told by whoever reads /api/me; the token changes with every session. */
export function useCsrf(token: string | null): void {
  csrf = token ?? ''
}

export function csrfToken(): string {
  return csrf
}

type Asked<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never }[keyof paths]
type Operation<M extends Method, P extends keyof paths> = paths[P][M]
type Content<T> = T extends { content: { 'application/json': infer Body } } ? Body : void
type Answer<O> = O extends { responses: infer R } ? Content<R[Extract<keyof R, 200 | 201 | 204>]> : never
type Body<O> = O extends { requestBody?: infer B } ? Content<NonNullable<B>> : never
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never
interface CallOptions<O> { path?: Record<string, string>; query?: Query<O>; body?: Body<O>; signal?: AbortSignal }

/** Asks an operation of `openapi.json`; address, body and answer are checked against it. */
export function call<M extends Method, P extends Asked<M>>(method: M, url: P, options: CallOptions<Operation<M, P>> = {}): Promise<Answer<Operation<M, P>>> {
  return ask(method, url as string, options as AskOptions)
}

export async function ask<T>(method: Method, url: string, { path, query, body, signal }: AskOptions = {}): Promise<T> {
  const headers: Record<string, string> = {}
  if (method !== 'get') headers['X-CSRF-Token'] = csrf
  let answer
  try {
    answer = await http.request(method, url as never, { params: { path, query }, body, headers, signal } as never)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refused('offline', 0)
  }
  heardServer(answer.response.headers.get('date'))
  if (answer.response.ok) return answer.data as T
  throw refused(answer.response, answer.error)
}

function refused(response: Response, problem: unknown): Refused {
  if (problem && typeof problem === 'object' && 'type' in problem) {
    const { type, title, ...facts } = problem as { type: string; title?: string }
    return new Refused(type.split('/').pop() ?? 'unknown', response.status, facts, title)
  }
  return new Refused(response.status >= 500 ? 'server-error' : 'unknown', response.status)
}
