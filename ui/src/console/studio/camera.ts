/** Camera and microphone: what there is, how it is asked for, and why it may not come. */

export const SIZES = [540, 720, 1080] as const
export type Size = (typeof SIZES)[number]

/** What the streamer chose; an empty id leaves the choice to the browser. */
export interface Choice { camera: string; microphone: string; size: Size; upright: boolean }
export interface Device { id: string; name: string }
export interface Devices { cameras: Device[]; microphones: Device[] }

/** `unplugged`: it was there a moment ago. `insecure`: browsers give cameras to pages over HTTPS only. */
export type Trouble = 'denied' | 'none' | 'busy' | 'unplugged' | 'insecure' | 'unsupported' | 'failed'

export class CameraRefused extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble)
    this.name = 'CameraRefused'
  }
}

const LONG_SIDE: Record<Size, number> = { 540: 960, 720: 1280, 1080: 1920 }
const FRAMES_PER_S = 30

const TROUBLES: Record<string, Trouble> = {
  NotAllowedError: 'denied', SecurityError: 'denied', NotFoundError: 'none', OverconstrainedError: 'none', NotReadableError: 'busy', AbortError: 'busy',
}

export function constraints({ camera, microphone, size, upright }: Choice): MediaStreamConstraints {
  const [width, height] = upright ? [size, LONG_SIDE[size]] : [LONG_SIDE[size], size]
  return {
    video: {
      ...(camera ? { deviceId: { exact: camera } } : { facingMode: 'user' }),
      width: { ideal: width }, height: { ideal: height }, aspectRatio: { ideal: width / height }, frameRate: { ideal: FRAMES_PER_S, max: FRAMES_PER_S },
      // A camera that lies on its side gives an upright picture cut out of its middle.
      ...(upright ? { resizeMode: { ideal: 'crop-and-scale' } } : {}),
    } as MediaTrackConstraints,
    audio: { ...(microphone ? { deviceId: { exact: microphone } } : {}), echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  }
}

/** Opens both; throws `CameraRefused`. A chosen device that is no longer there gives way to another. */
export async function openCamera(choice: Choice): Promise<MediaStream> {
  if (!window.isSecureContext) throw new CameraRefused('insecure')
  if (!navigator.mediaDevices?.getUserMedia || !('MediaRecorder' in window)) throw new CameraRefused('unsupported')
  try {
    return await navigator.mediaDevices.getUserMedia(constraints(choice))
  } catch (error) {
    const trouble = troubleOf(error)
    if (trouble === 'none' && (choice.camera || choice.microphone)) return openCamera({ ...choice, camera: '', microphone: '' })
    throw new CameraRefused(trouble)
  }
}

export function troubleOf(error: unknown): Trouble {
  return (error instanceof DOMException && TROUBLES[error.name]) || 'failed'
}

/** Names are told only after permission was given. */
export async function listDevices(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? []
  const named = (kind: MediaDeviceKind) => all.filter((one) => one.kind === kind && one.deviceId && one.deviceId !== 'communications').map((one) => ({ id: one.deviceId, name: one.label }))
  return { cameras: named('videoinput'), microphones: named('audioinput') }
}

/** How loud the microphone is, 0 to 1 on a scale of 60 dB, until `close`. */
export function hearLevel(stream: MediaStream, tell: (level: number) => void): { close: () => void } {
  const context = new AudioContext()
  const analyser = new AnalyserNode(context, { fftSize: 1024 })
  context.createMediaStreamSource(stream).connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  const timer = setInterval(() => {
    if (context.state === 'suspended') void context.resume()
    analyser.getFloatTimeDomainData(samples)
    const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length
    tell(Math.max(0, Math.min(1, 1 + (10 * Math.log10(power + 1e-9)) / 60)))
  }, 100)
  return {
    close() {
      clearInterval(timer)
      void context.close()
    },
  }
}
