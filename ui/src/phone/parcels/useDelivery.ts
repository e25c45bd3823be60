import { ref } from 'vue'
import { t } from '@/shared/i18n'
import { useConfirm } from '../confirm'
import { toast, toastError } from '../parts/toast'
import { confirmReceipt, extendTime, type Delivery } from './delivery'

/** What a buyer does about goods on their way: has them, or needs more time. */
export function useDelivery(changed: (delivery: Delivery) => void) {
  const busy = ref(false)
  const confirm = useConfirm()

  async function act(ask: () => Promise<Delivery>, said: string): Promise<void> {
    if (busy.value) return
    busy.value = true
    try {
      changed(await ask())
      toast(said)
    } catch (error) {
      toastError(error)
    } finally {
      busy.value = false
    }
  }

  async function receive(orderId: string): Promise<void> {
    const yes = await confirm.ask({ title: t('phone.parcel.receiveTitle'), text: t('phone.parcel.receiveText'), act: t('phone.parcel.receive') })
    if (yes) await act(() => confirmReceipt(orderId), t('phone.parcel.received'))
  }

  const extend = (orderId: string, days: number) => act(() => extendTime(orderId), t('phone.parcel.extended', { days }))

  return { busy, receive, extend }
}
