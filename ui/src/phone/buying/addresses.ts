/** The buyer's addresses, read once and shared by every sheet. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { addAddress, changeAddress, listAddresses, removeAddress } from '@/shared/api/endpoints'
import type { Address } from '@/shared/api/types'

export const useAddresses = defineStore('addresses', () => {
  const items = ref<Address[]>([])
  const known = ref(false)
  const preferred = computed(() => items.value.find((address) => address.is_default) ?? items.value[0] ?? null)

  async function load(): Promise<void> {
    items.value = (await listAddresses()).items
    known.value = true
  }

  async function save(address: Address): Promise<void> {
    const fresh = !items.value.some((known) => known.id === address.id)
    await (fresh ? addAddress(address) : changeAddress(address))
    await load()
  }

  async function remove(id: string): Promise<void> {
    await removeAddress(id)
    await load()
  }

  function forget(): void {
    items.value = []
    known.value = false
  }

  return { items, known, preferred, load, save, remove, forget }
})

/** One line, in the order the language writes it. */
export function addressLine(address: Address, locale: string): string {
  const parts = locale === 'zh-CN'
    ? [address.region, address.city, address.district, address.street]
    : [address.street, address.district, address.city, address.region, address.postcode]
  return parts.filter(Boolean).join(locale === 'zh-CN' ? '' : ', ')
}
