import { showToast } from 'vant'
import 'vant/es/toast/style'
import { explain } from '@/shared/refusals'

export function toast(message: string): void {
  showToast({ message, duration: 2200, position: 'middle' })
}

export function toastError(error: unknown): void {
  toast(explain(error))
}
