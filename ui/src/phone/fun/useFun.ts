/** Fun in a room: what runs, my part in it, and taking part. */
import { computed, onScopeDispose, reactive, ref, watch } from 'vue'
import { enterActivity, getActivity, listActivities } from '@/shared/api/endpoints'
import type { Activity, ActivityView, Bargain, Part } from '@/shared/api/types'
import { useNow } from '@/shared/now'
import type { PersonalFrame } from '@/shared/room/frames'
import { play, type RoomState } from '@/shared/room/state'
import { useSession } from '@/shared/session'
import { keepReceipt, nonceOf } from './receipts'

/** What was decided stays in sight for so long. */
const SHOWN_AFTER_MS = 60_000
const PAGE = 50
const SETTLING_MS = 5_000

export function useFun(showId: string, room: RoomState) {
  const session = useSession()
  const now = useNow()
  const parts = reactive<Record<string, Part>>({})
  /** My own bargains, by their activity. */
  const bargains = reactive<Record<string, Bargain>>({})
  /** What each draw was committed to when this page first heard of it. */
  const promised = new Map<string, string>()
  const openId = ref<string | null>(null)
  let left = false
  let later: ReturnType<typeof setTimeout> | undefined

  const opened = computed(() => room.activities.find((one) => one.id === openId.value) ?? null)
  const known = computed(() => room.activities.filter((one) => one.opens_at && one.state !== 'ready' && one.state !== 'invited'))
  const shown = computed(() => known.value.filter((one) => one.state === 'open' || one.state === 'closed' || isFresh(one)))
  const over = computed(() => room.show?.state === 'ended')
  const past = computed(() => known.value.filter((one) => one.state === 'settled' && (over.value || !isFresh(one))).sort((one, other) => (one.id < other.id ? 1 : -1)))

  function isFresh(one: Activity): boolean {
    return one.state === 'settled' && one.settled_at !== null && now.value - Date.parse(one.settled_at) < SHOWN_AFTER_MS
  }

  function take({ activity, mine }: ActivityView): void {
    if (left) return
    play(room, activity)
    if (mine) parts[activity.id] = mine
  }

  /** Everything of this show, with my part: for who comes in while something runs, and for looking back. */
  async function load(): Promise<void> {
    const page = await listActivities(showId, { limit: PAGE })
    page.items.forEach(take)
  }

  async function refresh(id: string): Promise<void> {
    take(await getActivity(id))
  }

  /** What is over is asked for anew: I may have been in it from another device. */
  function open(id: string): void {
    openId.value = id
    if (!parts[id] && opened.value && opened.value.state !== 'open') refresh(id).catch(() => undefined)
  }

  async function enter(activity: Activity, choice?: number): Promise<Part> {
    const nonce = nonceOf(activity.id)
    const entered = await enterActivity(activity.id, { nonce, ...(choice === undefined ? {} : { choice }) })
    keepReceipt(activity.id, { no: entered.no, head: entered.head, nonce: entered.again ? null : nonce })
    const part: Part = {
      no: entered.no, head: entered.head, choice: entered.choice, amount: entered.amount, bargain_id: null, prize: null,
      won: activity.kind === 'red_packet', at: new Date(now.value).toISOString(),
    }
    parts[activity.id] = part
    return part
  }

  function heard(frame: PersonalFrame): void {
    if (frame.t === 'bargain') {
      const { t: _, ...bargain } = frame
      bargains[bargain.activity_id] = { ...bargains[bargain.activity_id], ...bargain }
    }
    if (frame.t !== 'won') return
    const part = parts[frame.activity]
    if (part) parts[frame.activity] = { ...part, won: true, prize: frame.prize, amount: frame.amount }
    else refresh(frame.activity).catch(() => undefined) // entered on another device
  }

  watch(known, (all) => {
    for (const one of all) if (one.commitment && !promised.has(one.id)) promised.set(one.id, one.commitment)
  }, { immediate: true })
  // Nobody is in what begins before their eyes; only what ran already, or another account, has to be asked about.
  watch(() => [room.you?.viewer_id, session.me?.account?.id] as const, ([inRoom]) => {
    for (const id of Object.keys(parts)) delete parts[id]
    for (const id of Object.keys(bargains)) delete bargains[id]
    if (inRoom && room.activities.length > 0) load().catch(() => undefined)
  })
  watch(() => opened.value?.state, (state, before) => {
    // Those who are in look up what they won; `won` tells winners without asking.
    if (openId.value && state === 'settled' && before === 'closed' && parts[openId.value]) refresh(openId.value).catch(() => undefined)
  })
  // A show that ends closes what runs; without a line, the outcome has to be asked for a moment later.
  watch(over, async (isOver) => {
    if (!isOver) return
    await load().catch(() => undefined)
    if (!left && room.activities.some((one) => one.state === 'open' || one.state === 'closed')) later = setTimeout(() => load().catch(() => undefined), SETTLING_MS)
  }, { immediate: true })
  onScopeDispose(() => {
    left = true
    clearTimeout(later)
  })

  return { parts, bargains, promised, openId, opened, shown, past, open, load, refresh, enter, heard }
}

export type Fun = ReturnType<typeof useFun>
