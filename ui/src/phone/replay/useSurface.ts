/** Buying on a surface beside the live room: at the shelf's price, credited to the surface and to where one came from. */
import { ref } from 'vue'
import { useRouter } from 'vue-router'
import { getProduct, placeOrder } from '@/shared/api/endpoints'
import type { OrderAskLine } from '@/shared/api/types'
import { useSession } from '@/shared/session'
import { offerOfProduct, type Offer } from '../buying/offer'
import { toastError } from '../parts/toast'

type OpenVisit = (from: { entry?: string | null; visit?: string | null }) => Promise<{ visit: string }>

export function useSurface(open: OpenVisit) {
  const session = useSession()
  const query = useRouter().currentRoute.value.query
  const from = {
    entry: (query.entry as string | undefined) ?? (window.history.state?.entry as string | undefined) ?? null,
    visit: (window.history.state?.visit as string | undefined) ?? null,
  }
  const visit = ref<string | null>(null)
  const offer = ref<Offer | null>(null)
  const buyOpen = ref(false)
  const checkoutOpen = ref(false)
  const heldOrder = ref<string | null>(null)

  async function enter(): Promise<void> {
    await session.load().catch(() => undefined) // guests get their viewer id first, so that the visit is theirs
    visit.value = (await open(from).catch(() => open({}).catch(() => null)))?.visit ?? null
  }
  void enter()

  async function choose(productId: string): Promise<void> {
    try {
      offer.value = offerOfProduct(await getProduct(productId))
      buyOpen.value = true
    } catch (cause) {
      toastError(cause)
    }
  }

  const place = (id: string, line: OrderAskLine) =>
    placeOrder({ id, lines: [{ ...line, cart_item_id: undefined }], visit: visit.value ?? undefined })

  function held(orderId: string): void {
    heldOrder.value = orderId
    checkoutOpen.value = true
  }

  return { visit, offer, buyOpen, checkoutOpen, heldOrder, choose, place, held }
}
