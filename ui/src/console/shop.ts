/** Which shop is being worked for, with which rights, and the room of the person at the desk. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { Shop } from '@/shared/api/types'
import { useSession } from '@/shared/session'
import { getRoom, getShop, type Room } from './api'

export const SCOPES = ['catalog', 'show', 'orders', 'staff', 'money'] as const
export type Scope = (typeof SCOPES)[number]

const KEY = 'laotie.shop'

export const useShop = defineStore('shop', () => {
  const session = useSession()
  const chosen = ref(localStorage.getItem(KEY))
  const shop = ref<Shop | null>(null)
  const room = ref<Room | null>(null)

  const seats = computed(() => session.me?.seats ?? [])
  const seat = computed(() => seats.value.find((seat) => seat.shop_id === chosen.value) ?? seats.value[0] ?? null)
  const id = computed(() => seat.value?.shop_id ?? '')
  const ownId = computed(() => session.me?.account?.id ?? '')
  const operator = computed(() => session.me?.roles.includes('operator') ?? false)
  const currency = computed(() => shop.value?.currency ?? 'CNY')
  /** Shows are made by who owns the room; staff with the scope may work at the desk. */
  const ownRoom = computed(() => (room.value && room.value.shop_id === id.value ? room.value : null))

  function may(scope: Scope): boolean {
    return seat.value?.scopes.includes(scope) ?? false
  }

  async function load(): Promise<void> {
    if (!seat.value) {
      shop.value = null
      room.value = null
      return
    }
    const wanted = id.value
    const streams = session.me?.roles.includes('streamer') // who has a room has this role
    const [gotShop, gotRoom] = await Promise.all([getShop(wanted), streams ? getRoom().catch(() => null) : null])
    if (wanted !== id.value) return
    shop.value = gotShop
    room.value = gotRoom
  }

  async function choose(shopId: string): Promise<void> {
    chosen.value = shopId
    localStorage.setItem(KEY, shopId)
    await load()
  }

  return { seats, seat, id, ownId, shop, room, ownRoom, operator, currency, may, load, choose }
})
