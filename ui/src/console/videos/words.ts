/** A video's state in one word: where its film stands while that matters, else where the video stands. */
import type { OwnVideo } from '../api'
import type { Tone } from '../parts/tones'

export function stateOf(video: OwnVideo): { word: string; tone: Tone } {
  if (video.film_state === 'failed') return { word: 'failed', tone: 'bad' }
  if (video.film_state === 'processing') return { word: video.state === 'published' ? 'publishing' : 'processing', tone: 'warn' }
  return { word: video.state, tone: video.state === 'published' ? 'good' : video.state === 'draft' ? 'warn' : 'plain' }
}

/** 1:05:09 of watched time, in hours and minutes when there is much of it. */
export function watchedHours(milliseconds: number): { hours: number; minutes: number } {
  const minutes = Math.floor(milliseconds / 60_000)
  return { hours: Math.floor(minutes / 60), minutes: minutes % 60 }
}
