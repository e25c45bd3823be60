/**
 * Web push on this device. Permission is asked for only when somebody presses for it. The service worker has no words of
 * its own: the templates of the chosen language are left for it in a cache.
 */
import { defineStore } from 'pinia'
import { ref, watch } from 'vue'
import { addPushDevice, getPushKey, removePushDevice } from '@/shared/api/endpoints'
import { currentLocale, i18n, t } from '@/shared/i18n'
import { KINDS } from './words'

export type PushState = 'unsupported' | 'denied' | 'off' | 'on'

const DEVICE = 'laotie.push-device'
const CACHE = 'laotie-notice-words'
const WORDS = '/notice-words'
const FACTS = ['title', 'streamer', 'planned_at', 'was']

export const usePush = defineStore('push', () => {
  const supported = 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window
  const state = ref<PushState>(supported ? 'off' : 'unsupported')
  const busy = ref(false)

  /** Looks what is so now, and hands the worker the words of this language. Asks for nothing. */
  async function look(): Promise<void> {
    if (!supported) return
    if (Notification.permission === 'denied') {
      state.value = 'denied'
      return
    }
    const registration = await navigator.serviceWorker.getRegistration('/')
    const subscription = await registration?.pushManager.getSubscription()
    state.value = subscription && localStorage.getItem(DEVICE) ? 'on' : 'off'
    if (state.value === 'on') await leaveWords()
  }

  /** Somebody pressed: ask, subscribe, tell the house. Says whether push is on now. */
  async function turnOn(): Promise<boolean> {
    if (!supported || busy.value) return false
    busy.value = true
    try {
      if ((await Notification.requestPermission()) !== 'granted') {
        await look()
        return false
      }
      await navigator.serviceWorker.register('/sw.js')
      const registration = await navigator.serviceWorker.ready
      const key = bytes((await getPushKey()).key)
      const known = await registration.pushManager.getSubscription()
      if (known && !same(known.options.applicationServerKey, key)) await known.unsubscribe()
      const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })
      const { endpoint, keys } = subscription.toJSON()
      const device = await addPushDevice({ endpoint: endpoint!, keys: { p256dh: keys!.p256dh!, auth: keys!.auth! } })
      localStorage.setItem(DEVICE, device.id)
      await leaveWords()
      state.value = 'on'
      return true
    } finally {
      busy.value = false
    }
  }

  async function turnOff(): Promise<void> {
    const device = localStorage.getItem(DEVICE)
    const registration = await navigator.serviceWorker.getRegistration('/')
    await (await registration?.pushManager.getSubscription())?.unsubscribe()
    if (device) await removePushDevice(device)
    localStorage.removeItem(DEVICE)
    state.value = 'off'
  }

  watch(() => i18n.global.locale.value, () => {
    if (state.value === 'on') void leaveWords()
  })

  return { state, busy, look, turnOn, turnOff }
})

/** The catalogue's sentences with their gaps left open, for the worker to fill. */
async function leaveWords(): Promise<void> {
  const gaps = Object.fromEntries(FACTS.map((name) => [name, `{${name}}`]))
  const kinds = Object.fromEntries(KINDS.map((kind) => [
    kind,
    { title: t(`phone.notices.kinds.${kind}.title`, gaps), text: t(`phone.notices.kinds.${kind}.text`, gaps) },
  ]))
  const words = new Response(JSON.stringify({ locale: currentLocale(), kinds }), { headers: { 'content-type': 'application/json' } })
  await (await caches.open(CACHE)).put(WORDS, words)
}

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0))
}

function same(one: ArrayBuffer | null, other: Uint8Array): boolean {
  const mine = new Uint8Array(one ?? new ArrayBuffer(0))
  return mine.length === other.length && mine.every((byte, index) => byte === other[index])
}
