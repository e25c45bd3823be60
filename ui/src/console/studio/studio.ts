/**
 * The studio: this browser as a show's camera. One for the whole console, so that sending goes on while the streamer
 * looks at orders or products; it holds camera and microphone, the publisher, the screen's wake lock and the guard
 * against closing the page by mistake.
 */
import { computed, effectScope, reactive, ref, shallowRef, watch } from 'vue'
import { CameraRefused, hearLevel, listDevices, openCamera, type Choice, type Devices, type Size, SIZES, type Trouble } from './camera'
import { Publisher, type Figures, type Sending } from './publisher'
import { askToPublish } from '../api'

const KEY = 'laotie.studio'
const BITS_PER_S: Record<Size, number> = { 540: 1_400_000, 720: 2_500_000, 1080: 4_500_000 }

export type Studio = ReturnType<typeof makeStudio>
let only: Studio | null = null

export function useStudio(): Studio {
  return (only ??= effectScope(true).run(makeStudio)!)
}

function makeStudio() {
  const choice = reactive<Choice>(recall())
  const devices = shallowRef<Devices>({ cameras: [], microphones: [] })
  const stream = shallowRef<MediaStream | null>(null)
  const trouble = ref<Trouble | null>(null)
  const opening = ref(false)
  const level = ref(0)
  const micOn = ref(true)
  const cameraOn = ref(true)
  const actual = shallowRef<{ width: number; height: number; frames: number } | null>(null)
  const sending = ref<Sending>('idle')
  const refusal = ref<string | null>(null)
  const figures = shallowRef<Figures | null>(null)
  const show = shallowRef<{ id: string; title: string } | null>(null)
  const fullRate = computed(() => BITS_PER_S[choice.size])
  const onAir = computed(() => ['connecting', 'sending', 'reconnecting'].includes(sending.value))
  let publisher: Publisher | null = null
  let meter: { close: () => void } | null = null
  let lock: WakeLockSentinel | null = null

  /** Opens what was chosen, or again with another choice; while sending, viewers see a short break. */
  async function open(): Promise<void> {
    if (opening.value) return
    opening.value = true
    try {
      const before = stream.value
      // Some systems give a camera to one opener only, so the old one goes first.
      if (before) letGo(before)
      const fresh = await openCamera({ ...choice })
      trouble.value = null
      take(fresh)
      if (onAir.value) publisher?.renew(fresh, BITS_PER_S[choice.size])
    } catch (error) {
      trouble.value = error instanceof CameraRefused ? error.trouble : 'failed'
      shut()
    } finally {
      opening.value = false
    }
    devices.value = await listDevices()
  }

  function take(fresh: MediaStream): void {
    stream.value = fresh
    for (const track of fresh.getTracks()) track.onended = () => stream.value === fresh && unplugged()
    fresh.getAudioTracks().forEach((track) => (track.enabled = micOn.value))
    fresh.getVideoTracks().forEach((track) => (track.enabled = cameraOn.value))
    const { width = 0, height = 0, frameRate = 0 } = fresh.getVideoTracks()[0]?.getSettings() ?? {}
    actual.value = { width, height, frames: Math.round(frameRate) }
    meter?.close()
    meter = hearLevel(fresh, (now) => (level.value = micOn.value ? now : 0))
  }

  /** A device went away: another one takes over where there is one. */
  function unplugged(): void {
    const wasOnAir = onAir.value
    choice.camera = choice.microphone = ''
    void open().then(() => {
      if (!stream.value) trouble.value = 'unplugged'
      else if (wasOnAir) trouble.value = null
    })
  }

  /** Camera and microphone off; a page that doesn't need them doesn't hold them. */
  function close(): void {
    stop()
    shut()
    trouble.value = null
  }

  function shut(): void {
    publisher?.stop()
    meter?.close()
    meter = null
    if (stream.value) letGo(stream.value)
    stream.value = null
    level.value = 0
  }

  function send(to: { id: string; title: string }): void {
    if (!stream.value || onAir.value) return
    show.value = to
    refusal.value = null
    const mine: Publisher = new Publisher({
      permit: () => askToPublish(to.id),
      stream: stream.value,
      bits_per_s: BITS_PER_S[choice.size],
      onSending: (now, code) => {
        if (publisher !== mine) return
        sending.value = now
        refusal.value = code ?? null
      },
      onFigures: (now) => {
        if (publisher === mine) figures.value = now
      },
    })
    publisher = mine
    mine.start()
  }

  function stop(): void {
    publisher?.stop()
    publisher = null
    sending.value = 'idle'
    refusal.value = null
    figures.value = null
  }

  function muteMic(off: boolean): void {
    micOn.value = !off
    stream.value?.getAudioTracks().forEach((track) => (track.enabled = !off))
  }

  function hideCamera(off: boolean): void {
    cameraOn.value = !off
    stream.value?.getVideoTracks().forEach((track) => (track.enabled = !off))
  }

  async function stayAwake(): Promise<void> {
    if (onAir.value && !lock && document.visibilityState === 'visible') {
      lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null
      lock?.addEventListener('release', () => (lock = null))
    } else if (!onAir.value) {
      await lock?.release().catch(() => undefined)
    }
  }

  function guard(event: BeforeUnloadEvent): void {
    event.preventDefault()
  }

  watch(onAir, (now) => {
    void stayAwake()
    if (now) window.addEventListener('beforeunload', guard)
    else window.removeEventListener('beforeunload', guard)
  })
  watch(choice, (now) => {
    localStorage.setItem(KEY, JSON.stringify(now))
    if (stream.value && !opening.value) void open()
  })
  document.addEventListener('visibilitychange', () => void stayAwake())
  navigator.mediaDevices?.addEventListener?.('devicechange', () => void listDevices().then((found) => (devices.value = found)))

  return { choice, devices, stream, trouble, opening, level, micOn, cameraOn, actual, sending, refusal, figures, show, onAir, fullRate, open, close, send, stop, muteMic, hideCamera }
}

function letGo(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.onended = null
    track.stop()
  }
}

function recall(): Choice {
  const plain: Choice = { camera: '', microphone: '', size: 720, upright: matchMedia('(orientation: portrait)').matches }
  try {
    const known = { ...plain, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Choice>) }
    return SIZES.includes(known.size) ? known : plain
  } catch {
    return plain
  }
}
