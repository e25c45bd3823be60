import { ref } from 'vue'
import { cancelOrder } from '@/shared/api/endpoints'
import type { Order } from '@/shared/api/types'
import { t } from '@/shared/i18n'
import { useConfirm } from './confirm'
import { toast, toastError } from './parts/toast'

export function useOrderActs(changed: () => void) {
  const busy = ref(false)
  const confirm = useConfirm()

  async function cancel(order: Order): Promise<void> {
    const title = order.lines[0]?.title ?? ''
    const paid = order.state !== 'placed'
    const yes = await confirm.ask(paid
      ? { title: t('phone.order.callOffTitle'), text: t('phone.order.callOffText', { title }), act: t('phone.order.callOff') }
      : { title: t('phone.order.cancelTitle'), text: t('phone.order.cancelText', { title }), act: t('phone.order.cancel') })
    if (!yes || busy.value) return
    busy.value = true
    try {
      await cancelOrder(order.id)
      toast(t(paid ? 'phone.order.calledOff' : 'phone.order.cancelled'))
      changed()
    } catch (error) {
      toastError(error)
    } finally {
      busy.value = false
    }
  }

  return { busy, cancel }
}
