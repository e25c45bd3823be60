"""Music for the demonstration scenes, from numbers alone: plucked notes over soft chords, and the surf.

Sound has shape (samples, 2), at SOUND_RATE a second, in -1..1.
"""

import math
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laotie.media.encoder import find_ffmpeg
from laotie.media.model import Scene

MUSIC_S = 48
SOUND_RATE = 48_000
SWELL_S = 6
"""Between two waves, as in the picture."""


def write(samples: NDArray[np.float64], path: Path) -> None:
    """Keep it as AAC."""
    wav = path.with_suffix(".wav")
    with wave.open(str(wav), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    command = [find_ffmpeg(), "-v", "error", "-y", "-i", str(wav), "-c:a", "aac", "-b:a", "96k", "-f", "mp4", str(path)]
    subprocess.run(command, check=True)  # noqa: S603  our own arguments
    wav.unlink()


def _shore_music() -> NDArray[np.float64]:
    """Slow plucked notes over soft chords, the surf coming and going."""
    chords = ((0, 4, 7, 11), (-3, 0, 4, 7), (5, 9, 12, 16), (-5, -1, 2, 7))
    tune = ((7, 11, 14, 12), (12, 7, 4, 7), (9, 12, 16, 14), (11, 7, 2, 7))
    return _finish(_surf() * 0.5 + _song(57, chords, tune, pluck_s=1.9, brightness=2))


def _wardrobe_music() -> NDArray[np.float64]:
    """A music box over light chords."""
    chords = ((0, 4, 7), (5, 9, 12), (-3, 0, 4), (-5, -1, 2))
    tune = ((12, 16, 19, 16), (17, 21, 19, 17), (16, 12, 9, 12), (14, 11, 14, 19))
    return _finish(_song(60, chords, tune, pluck_s=0.9, brightness=5))


def _song(
    root: int,
    chords: tuple[tuple[int, ...], ...],
    tune: tuple[tuple[int, ...], ...],
    *,
    pluck_s: float,
    brightness: int,
) -> NDArray[np.float64]:
    out = np.zeros((MUSIC_S * SOUND_RATE, 2))
    bar_s = 3.0
    for bar in range(int(MUSIC_S / bar_s)):
        begin = bar * bar_s
        for index, note in enumerate(chords[bar % 4]):
            _add(out, begin, _pad(root - 12 + note, bar_s * 1.3), 0.035, pan=0.35 + 0.1 * index)
        if bar % 8 == 7:
            continue
        for index, note in enumerate(tune[(bar + bar // 8) % 4]):
            if (bar * 4 + index) % 5 != 4:
                _add(
                    out,
                    begin + index * bar_s / 4,
                    _pluck(root + note, pluck_s, brightness),
                    0.13,
                    pan=0.4 + 0.06 * index,
                )
    return out


def _add(out: NDArray[np.float64], at_s: float, sound: NDArray[np.float64], level: float, *, pan: float) -> None:
    start = round(at_s * SOUND_RATE)
    sound = sound[: len(out) - start] * level
    out[start : start + len(sound), 0] += sound * math.sqrt(1 - pan)
    out[start : start + len(sound), 1] += sound * math.sqrt(pan)


def _pitch(note: int) -> float:
    return 440 * 2 ** ((note - 69) / 12)


def _pluck(note: int, length_s: float, brightness: int) -> NDArray[np.float64]:
    time = np.arange(int(length_s * 1.6 * SOUND_RATE)) / SOUND_RATE
    sound = np.zeros_like(time)
    for partial in range(1, brightness + 1):
        sound += (
            np.sin(2 * np.pi * _pitch(note) * partial * time) * np.exp(-time * partial * 2.6 / length_s) / partial**1.6
        )
    return np.asarray(sound * np.minimum(time / 0.004, 1) * np.clip((time[-1] - time) / 0.2, 0, 1))


def _pad(note: int, length_s: float) -> NDArray[np.float64]:
    time = np.arange(int(length_s * SOUND_RATE)) / SOUND_RATE
    shape = np.sin(np.pi * time / length_s) ** 0.8
    voices = sum(np.sin(2 * np.pi * _pitch(note) * detune * time) for detune in (0.998, 1, 1.002))
    return np.asarray(voices * shape)


def _surf() -> NDArray[np.float64]:
    """Filtered noise that swells every six seconds, as the waves in the picture do."""
    rng = np.random.default_rng(2)
    count = MUSIC_S * SOUND_RATE
    shape = np.fft.rfftfreq(count, 1 / SOUND_RATE)
    spectrum = np.exp(-((shape / 900) ** 1.0)) * np.minimum(shape / 60, 1)
    time = np.arange(count) / SOUND_RATE
    swell = (0.25 + 0.75 * (0.5 - 0.5 * np.cos(2 * np.pi * time / SWELL_S)) ** 2)[:, None]
    noise = [np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * spectrum, count) for _ in range(2)]
    sound = np.stack(noise, axis=1)
    return np.asarray(0.16 * sound / sound.std() * swell)


def _finish(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fade both ends, so that the loop closes in silence, and leave head room."""
    ramp = np.minimum(np.arange(len(sound)) / (0.6 * SOUND_RATE), 1)
    sound = sound * (ramp * ramp[::-1])[:, None]
    return np.asarray(0.5 * sound / max(np.abs(sound).max(), 1e-9))


MUSIC: dict[Scene, Callable[[], NDArray[np.float64]]] = {Scene.SHORE: _shore_music, Scene.WARDROBE: _wardrobe_music}
