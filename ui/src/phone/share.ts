/** Passing a link on: the system's own sheet where there is one, else the clipboard. */
import { Refused } from '@/shared/api/ask'
import { t } from '@/shared/i18n'
import { toast, toastError } from './parts/toast'

export async function passOn(title: string, make: () => Promise<{ url: string }>): Promise<void> {
  try {
    const url = new URL((await make()).url, location.origin).href
    if (navigator.share) await navigator.share({ title, url })
    else {
      await navigator.clipboard.writeText(url)
      toast(t('phone.room.copied'))
    }
  } catch (cause) {
    if (cause instanceof Refused) toastError(cause)
    else if (!(cause instanceof DOMException && cause.name === 'AbortError')) toast(t('phone.room.notCopied'))
  }
}
