/** Files on their way to the server, as bytes and nothing else: what they are, their content says. */
import { newId } from '../ids'
import { csrfToken, Refused } from './ask'

export interface Picture { id: string; url: string; width: number; height: number }

/** A picture in one go; the answer has the address it is shown under. */
export function sendPicture(file: Blob, purpose: 'product' | 'avatar' | 'cover' | 'review'): Promise<Picture> {
  return sendBytes('PUT', `/api/pictures/${newId()}?purpose=${purpose}`, file)
}

export function sendBytes<T>(
  method: string, url: string, bytes: Blob, { progress, begun }: { progress?: (sent: number) => void; begun?: (request: XMLHttpRequest) => void } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open(method, url)
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.setRequestHeader('X-CSRF-Token', csrfToken())
    request.responseType = 'json'
    request.upload.onprogress = (event) => progress?.(event.loaded)
    request.onload = () => {
      if (request.status < 300) return resolve(request.response as T)
      const problem = (request.response ?? {}) as { type?: string }
      reject(new Refused(problem.type?.split('/').pop() ?? 'server-error', request.status, problem as Record<string, unknown>))
    }
    request.onerror = () => reject(new Refused('offline', 0))
    request.onabort = () => reject(new Refused('cancelled', 0))
    begun?.(request)
    request.send(bytes)
  })
}
