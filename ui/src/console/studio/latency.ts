/** How long a moment takes from the lens to a viewer's screen, put together from what this page can measure. */
import { CHUNK_MS } from './publisher'

/** From arrival to the end of the part that holds it, and into the playlist. */
const PACKAGING_S = 0.25
/** An encoder's own work and its way here, which this page cannot see. */
const ENCODER_S = 0.15

/** `behind_s`: of the player, behind the newest part. `lag_s`: of the upload from here; nothing when another encoder sends. */
export function glassToGlass(behind_s: number, lag_s: number | null): number {
  return behind_s + PACKAGING_S + (lag_s === null ? ENCODER_S : CHUNK_MS / 1000 + lag_s)
}
