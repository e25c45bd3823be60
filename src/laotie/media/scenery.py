"""Draws the demonstration scenes: loops that are pleasant to look at, from numbers alone.

Runs as a program of its own, `python -m laotie.media.scenery SCENE PICTURE.mp4 SOUND.m4a`, because a minute of numpy
in the server's process would be a minute of late answers. Every motion has a whole number of periods in the loop, so
that it closes without a seam. Colours are blends of sRGB in 0..1, shape (HEIGHT, WIDTH, 3).
"""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from laotie.media import music
from laotie.media.encoder import find_ffmpeg
from laotie.media.model import Scene

WIDTH, HEIGHT, RATE = 540, 960, 25
LOOP_S = 12
FINER = 3
"""Shapes are drawn this much larger and scaled down: smooth edges."""

Picture = NDArray[np.float32]

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
U, V = X / WIDTH, Y / HEIGHT


def main(scene: Scene, picture: Path, sound: Path) -> None:
    """Write the loop of a scene: H.264 in MP4, and AAC beside it."""
    music.write(music.MUSIC[scene](), sound)
    _write_picture(FRAMES[scene](), picture)


def _write_picture(frames: Iterator[Picture], path: Path) -> None:
    command = [find_ffmpeg(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}"]
    command += ["-r", str(RATE), "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-threads", "1"]
    # Cheap to decode for ever after: no B frames, no CABAC, no loop filter.
    command += ["-tune", "fastdecode", "-bf", "0", "-g", "50", "-pix_fmt", "yuv420p", "-f", "mp4", str(path)]
    rng = np.random.default_rng(1)
    # Half a grey level of noise, the same in every frame, keeps the gradients from showing bands.
    grain = rng.uniform(-0.5, 0.5, (HEIGHT, WIDTH, 1)).astype(np.float32)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:  # noqa: S603  our own arguments
        assert encoder.stdin is not None
        for frame in frames:
            encoder.stdin.write(np.clip(frame * 255 + grain, 0, 255).astype(np.uint8).tobytes())
    if encoder.returncode:
        raise SystemExit(encoder.returncode)


def _colour(text: str) -> Picture:
    return np.array([int(text[at : at + 2], 16) / 255 for at in (0, 2, 4)], np.float32)


def _gradient(position: Picture, *stops: tuple[float, str]) -> Picture:
    """Colours along `position`, blended between the stops."""
    places = [place for place, _ in stops]
    shades = np.stack([_colour(text) for _, text in stops])
    return np.stack([np.interp(position, places, shades[:, i]).astype(np.float32) for i in range(3)], axis=-1)


def _blend(below: Picture, colour: Picture, alpha: Picture) -> Picture:
    return below + (colour - below) * alpha[..., None]


def _smooth(position: Picture, low: float, high: float) -> Picture:
    """0 below `low`, 1 above `high`, smooth between."""
    step = np.clip((position - low) / (high - low), 0, 1)
    return np.asarray(step * step * (3 - 2 * step), np.float32)


def _noise(width: int, height: int, cells_x: int, cells_y: int, seed: int, *, octaves: int = 4) -> Picture:
    """Smooth noise in 0..1 that wraps around in x."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(octaves):
        nx, ny = cells_x << octave, cells_y << octave
        grid = rng.random((ny + 2, nx)).astype(np.float32)
        px, py = np.arange(width) / width * nx, np.arange(height) / height * ny
        ix, iy = px.astype(int), py.astype(int)
        fx, fy = px - ix, (py - iy)[:, None]
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
        left, right = grid[:, ix % nx], grid[:, (ix + 1) % nx]
        rows = left + (right - left) * fx
        total += (rows[iy] + (rows[iy + 1] - rows[iy]) * fy).astype(np.float32) * 0.5**octave
        weight += 0.5**octave
    return total / weight


def _drawn(
    paint: Callable[[ImageDraw.ImageDraw, float], None], width: int, height: int, *, blur: float = 0
) -> Image.Image:
    """A transparent picture, painted with smooth edges; the painter is given the scale."""
    image = Image.new("RGBA", (width * FINER, height * FINER))
    paint(ImageDraw.Draw(image), FINER)
    if blur:  # with the colours weighted by their alpha, or edges turn dark
        image = image.convert("RGBa").filter(ImageFilter.GaussianBlur(blur * FINER)).convert("RGBA")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _place(frame: Picture, sprite: Image.Image, left: float, top: float, *, strength: float = 1) -> None:
    """Lay a sprite over the frame, in place; what is outside is cut off."""
    x, y = round(left), round(top)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + sprite.width, WIDTH), min(y + sprite.height, HEIGHT)
    if x0 >= x1 or y0 >= y1:
        return
    data = np.asarray(sprite, np.float32)[y0 - y : y1 - y, x0 - x : x1 - x] / 255
    region = frame[y0:y1, x0:x1]
    region += (data[..., :3] - region) * data[..., 3:] * strength


# The shore -----------------------------------------------------------------------------------------------------------

HORIZON = 0.47
SUN_X, SUN_Y = 0.56, 0.415


def _shore() -> Iterator[Picture]:
    """Sunrise over the sea: glitter on the water, drifting clouds, a fishing boat, gulls, waves running up the sand."""
    sky, halo = _sky()
    clouds, water, beach = _Clouds(), _Water(), _Beach()
    hills, shadow = _hills(), _shadow()
    boat, gulls = _boat(), [_gull(step / 8) for step in range(8)]
    basket = _basket()
    top = int(HORIZON * HEIGHT)
    for number in range(LOOP_S * RATE):
        turn = number / (LOOP_S * RATE)
        angle = 2 * math.pi * turn
        frame = sky.copy()
        clouds.lay(frame, turn)
        frame += halo * (0.94 + 0.06 * math.sin(angle))
        _place(frame, hills, 0, top - hills.height + 3)
        water.lay(frame, angle)
        _place(frame, boat, 92, top - 58 + 3 * math.sin(2 * angle))
        for index in range(5):
            flock = turn * 1.0
            x = (0.15 + 0.11 * index + flock * (WIDTH + 200) / WIDTH) * WIDTH % (WIDTH + 200) - 100
            y = HEIGHT * (0.2 + 0.02 * (index * 7 % 5)) + 10 * math.sin(2 * angle + index)
            beat = int((turn * 18 + index * 0.3) * 8) % 8
            _place(frame, gulls[beat], x, y)
        beach.lay(frame, turn)
        _place(frame, shadow, WIDTH * 0.55 - 20, HEIGHT * 0.772 + 92)
        _place(frame, basket, WIDTH * 0.55, HEIGHT * 0.772)
        yield frame


def _sky() -> tuple[Picture, Picture]:
    sky = _gradient(
        V / HORIZON, (0, "2b3d78"), (0.3, "5d639f"), (0.55, "b98aa6"), (0.75, "f2a98b"), (0.9, "ffcf95"), (1, "ffe3ae")
    )
    distance = np.hypot((U - SUN_X) * WIDTH / HEIGHT, V - SUN_Y)
    disc = _smooth(-distance, -0.040, -0.0375)
    sky = _blend(sky, _colour("fffbea"), disc)
    halo = (
        0.34 * np.exp(-((distance / 0.075) ** 2))[..., None] * _colour("ffa850")
        + 0.20 * np.exp(-distance / 0.17)[..., None] * _colour("ff8f58")
    ) * (1 - disc)[..., None]
    return sky, halo.astype(np.float32)


class _Clouds:
    """Lit from below; they wrap around twice as wide as the picture."""

    def __init__(self) -> None:
        rows = int(HORIZON * HEIGHT)
        height = V[:rows] / HORIZON
        self.density = _smooth(_noise(WIDTH * 2, rows, 5, 9, 7, octaves=5), 0.50, 0.78)
        self.share = 0.75 * _smooth(height, 0.05, 0.35) * (1 - _smooth(height, 0.82, 1.0))
        self.lit = _gradient(height, (0, "8d86b8"), (0.5, "f3b3a6"), (0.8, "ffd9ac"), (1, "fff0cf"))

    def lay(self, frame: Picture, turn: float) -> None:
        """Where the wind has driven them by now, to a fraction of a pixel."""
        drift = turn * WIDTH * 2
        whole, part = int(drift), drift % 1
        density = np.roll(self.density, whole, axis=1)
        density = density[:, :WIDTH] * (1 - part) + np.roll(density, 1, axis=1)[:, :WIDTH] * part
        region = frame[: len(self.lit)]
        region += (self.lit - region) * (density * self.share)[..., None]


def _hills() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        for shade, base, swell, phase in (("c98f93d0", 34, 22, 0.3), ("9a6f88e0", 46, 15, 2.1)):
            line = [
                (x * scale, (base - swell * math.sin(phase + x / 88) * math.exp(-(((x - 40) / 210) ** 2)) - 6) * scale)
                for x in range(0, WIDTH + 1, 4)
            ]
            fade = [(x, y + max(0.0, (x / scale - 150) * 0.16) * scale) for x, y in line]
            draw.polygon([(0, 60 * scale), *fade, (WIDTH * scale, 60 * scale)], fill=f"#{shade}")

    return _drawn(paint, WIDTH, 56, blur=0.6)


WAVES = ((1.1, 3.1, 2, 0.5), (-1.7, 4.3, 3, 0.4), (2.9, 7.9, 4, 0.32), (-4.3, 12.7, 6, 0.22))
"""Of the swell: waves across, waves into the distance, periods in a loop, height."""


class _Water:
    """The sea in perspective: waves grow towards the viewer, the sun's road glitters on their slopes.

    A wave that travels is sin(a + wt) = sin a cos wt + cos a sin wt: what depends on the place is computed once.
    """

    def __init__(self) -> None:
        self.rows = slice(int(HORIZON * HEIGHT), int(0.84 * HEIGHT))
        v, self.u = V[self.rows], U[self.rows]
        self.near = (v - HORIZON) / (1 - HORIZON)
        depth = 1 / (self.near + 0.035)
        across = (self.u - 0.5) * depth
        phases = [kx * across * 2.2 + kz * depth * 1.5 for kx, kz, _, _ in WAVES]
        self.swell = [(np.sin(phase), np.cos(phase)) for phase in phases]
        self.fine = [(np.sin(phase), np.cos(phase)) for phase in (9.1 * across + 23 * depth, 31 * depth - 6.3 * across)]
        near = self.near
        self.base = _gradient(near, (0, "f6c59a"), (0.05, "d99a8c"), (0.2, "8f7f9c"), (0.45, "3f7090"), (1, "1f5f78"))
        self.light = _gradient(near, (0, "ffe3b4"), (0.25, "f0b493"), (0.6, "8fbcc0"), (1, "7cc0bf")) - self.base
        self.contrast = 0.25 + 0.45 * near
        self.gleam = _colour("fff0c4")

    def lay(self, frame: Picture, angle: float) -> None:
        """Put the sea into the frame as it is at this angle of the loop."""
        slope = np.zeros_like(self.near)
        for (sine, cosine), (_, _, speed, strength) in zip(self.swell, WAVES, strict=True):
            slope += sine * (strength * math.cos(speed * angle)) + cosine * (strength * math.sin(speed * angle))
        (one, one_late), (two, two_late) = self.fine
        fine = (one * math.cos(7 * angle) + one_late * math.sin(7 * angle)) * (
            two * math.cos(5 * angle) - two_late * math.sin(5 * angle)
        )
        near = self.near
        sea = self.base + self.light * (np.clip(0.5 + 0.42 * slope, 0, 1) * self.contrast)[..., None]
        wobble = 0.035 * slope * (0.3 + near)
        road = np.exp(-(((self.u - SUN_X + wobble) / (0.045 + 0.15 * near)) ** 2))
        glitter = _smooth(slope * 0.7 + fine * 0.55, 0.15, 0.95) * road * (1 - 0.65 * near)
        sea += (self.gleam - sea) * np.clip(1.15 * glitter + 0.25 * road * (1 - near), 0, 1)[..., None]
        frame[self.rows] = sea


class _Beach:
    """Sand below, and the water's edge that runs up and draws back twice in a loop."""

    def __init__(self) -> None:
        grain = _noise(WIDTH, HEIGHT, 90, 160, 3, octaves=2)
        ripple = _noise(WIDTH, HEIGHT, 5, 22, 5, octaves=3)
        self.sand = _gradient(V, (0.72, "d9b48f"), (0.85, "e7c59d"), (1, "f0d2a8")) * (
            0.93 + 0.05 * grain + 0.06 * ripple
        )[..., None].astype(np.float32)
        self.wet = self.sand * np.array([0.72, 0.66, 0.66], np.float32)
        self.foam = _noise(WIDTH, HEIGHT, 26, 60, 11, octaves=4)
        self.edge = 0.012 * np.sin(U * 5.2 + 0.7) + 0.006 * np.sin(U * 13.0 + 2.0) + 0.09 * (0.5 - U)

    def lay(self, frame: Picture, turn: float) -> None:
        """Put sand, wet sand, foam and the thin sheet of water over the lower part of the frame."""
        low = int(0.58 * HEIGHT)
        v, u, foam = V[low:], U[low:], self.foam[low:]
        line = 0.76 + self.edge[low:]
        reach = 0.022 * math.sin(4 * math.pi * turn) + 0.006 * math.sin(6 * math.pi * turn)
        lap = line + reach + 0.004 * np.sin(u * 21 + 4 * math.pi * turn)
        farthest = line + 0.030
        sand = (
            self.sand[low:] + (self.wet[low:] - self.sand[low:]) * (1 - _smooth(v - farthest, -0.004, 0.022))[..., None]
        )
        land = _smooth(v - lap, -0.0012, 0.0012)
        region = frame[low:]
        thin = _smooth(v - lap, -0.10, 0.0) * 0.62
        region += (self.wet[low:] * 0.55 + _colour("a9c9c6") * 0.5 - region) * thin[..., None]
        region += (sand - region) * land[..., None]
        for shift, width, strength in ((0.0, 0.008, 0.95), (-0.034, 0.006, 0.55), (-0.072, 0.005, 0.35)):
            place = v - lap - shift - 0.010 * (foam - 0.5)
            lace = np.exp(-((place / width) ** 2)) * _smooth(foam, 0.30, 0.55) * strength
            region += (_colour("fffaf0") - region) * lace[..., None]


def _boat() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
            return [(x * scale, y * scale) for x, y in points]

        draw.polygon(at((4, 48), (92, 46), (82, 62), (16, 62)), fill="#4a3550")
        draw.polygon(at((4, 48), (92, 46), (90, 50), (6, 52)), fill="#d9866a")
        draw.rectangle([*at((56, 32))[0], *at((76, 47))[0]], fill="#5b4460")
        draw.rectangle([*at((60, 36))[0], *at((66, 41))[0]], fill="#ffdf9a")
        draw.line(at((40, 48), (40, 6)), fill="#4a3550", width=round(1.6 * scale))
        draw.polygon(at((42, 8), (42, 44), (64, 44)), fill="#f7d9bd")
        draw.polygon(at((38, 12), (38, 44), (22, 44)), fill="#eebfa6")

    return _drawn(paint, 96, 66)


def _gull(beat: float) -> Image.Image:
    lift = math.sin(2 * math.pi * beat)

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        left = [(2, 12 - 7 * lift), (9, 8 - 4 * lift), (15, 12)]
        right = [(28, 12 - 7 * lift), (21, 8 - 4 * lift), (15, 12)]
        for wing in (left, right):
            draw.line(
                [(x * scale, y * scale) for x, y in wing], fill="#3d3358d0", width=round(1.7 * scale), joint="curve"
            )

    return _drawn(paint, 30, 24)


def _shadow() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        draw.ellipse([24 * scale, 16 * scale, 216 * scale, 48 * scale], fill="#5a3c3470")

    return _drawn(paint, 240, 64, blur=5)


def _basket() -> Image.Image:
    """The catch: a woven basket with sea cucumbers, a starfish beside it."""

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        def box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
            return [x0 * scale, y0 * scale, x1 * scale, y1 * scale]

        for x, y, tilt, shade in ((40, 46, -14, "#4a3a34"), (96, 40, 10, "#58443a"), (70, 58, 2, "#3f322e")):
            _cucumber(draw, x, y, tilt, shade, scale)
        draw.polygon([(x * scale, y * scale) for x, y in ((22, 68), (178, 68), (160, 134), (40, 134))], fill="#a8703f")
        for row in range(5):
            for column in range(11):
                left = 26 + column * 14 + (row % 2) * 7 + row * 1.5
                if left < 172 - row * 3.5:
                    shade = "#c48a52" if (row + column) % 2 else "#8e5a30"
                    draw.rounded_rectangle(
                        box(left, 72 + row * 12.5, left + 12, 82 + row * 12.5), 3 * scale, fill=shade
                    )
        draw.rounded_rectangle(box(16, 60, 184, 74), 7 * scale, fill="#d39a5f")
        for x in range(20, 180, 12):
            draw.line([x * scale, 73 * scale, (x + 8) * scale, 61 * scale], fill="#a8703f", width=round(2 * scale))
        star = []
        for point in range(10):
            radius, turn = (17.0 if point % 2 == 0 else 7.5), math.pi * (point / 5 - 0.42)
            star.append(((206 + radius * math.cos(turn)) * scale, (132 + radius * 0.72 * math.sin(turn)) * scale))
        draw.polygon(star, fill="#ef8a5d")

    return _drawn(paint, 230, 152)


def _cucumber(draw: ImageDraw.ImageDraw, x: float, y: float, tilt: float, shade: str, scale: float) -> None:
    """A plump body of circles along a line, with rows of soft spikes."""
    dx, dy = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    for step in range(31):
        along = step / 30
        radius = 15 * math.sqrt(math.sin(math.pi * (0.12 + 0.76 * along)))
        cx, cy = x + 62 * along * dx, y + 62 * along * dy
        draw.ellipse(
            [(cx - radius) * scale, (cy - radius) * scale, (cx + radius) * scale, (cy + radius) * scale], fill=shade
        )
    for row, light in ((-8, "#8b7262"), (0, "#77604f"), (7, "#665244")):
        for step in range(7):
            along = 0.06 + step / 6.6 + (0.06 if row else 0)
            cx, cy = x + 62 * along * dx - row * dy * -1, y + 62 * along * dy + row * dx
            draw.ellipse([(cx - 3) * scale, (cy - 4) * scale, (cx + 3) * scale, (cy + 3) * scale], fill=light)


# The clothes line ----------------------------------------------------------------------------------------------------


def _wardrobe() -> Iterator[Picture]:
    """Children's clothes on a line in a summer garden: they sway, clouds pass, bubbles rise."""
    sky = _gradient(V, (0, "8fd0f0"), (0.35, "c3e8f4"), (0.6, "fdf3dc"), (1, "fdf3dc"))
    glow = np.exp(-(np.hypot((U - 0.86) * 0.56, V - 0.08) / 0.22))[..., None] * _colour("fff2b8") * 0.22
    sky = np.clip(sky + glow.astype(np.float32), 0, 1)
    clouds = [(_cloud(seed, size), y, lap, start) for seed, size, y, lap, start in CLOUDS]
    meadow = _meadow()
    posts = _posts()
    bunting = _bunting()
    clothes = _clothes()
    bubble = _bubble()
    for number in range(LOOP_S * RATE):
        turn = number / (LOOP_S * RATE)
        angle = 2 * math.pi * turn
        frame = sky.copy()
        for sprite, height, lap, start in clouds:
            span = WIDTH + sprite.width
            _place(frame, sprite, (start * span + lap * turn * span) % span - sprite.width, height, strength=0.92)
        _place(frame, meadow, 0, HEIGHT - meadow.height)
        _place(frame, bunting, 0, 118 + 2 * math.sin(angle))
        _place(frame, posts, 0, 300)
        for index, (sprite, x, y, weight) in enumerate(clothes):
            sway = 5.5 * math.sin(2 * angle + index * 1.3) + 2.2 * math.sin(5 * angle + index * 2.1)
            turned = sprite.rotate(sway * weight, Image.Resampling.BICUBIC, center=(sprite.width / 2, 6))
            _place(frame, turned, x - sprite.width / 2, y - 6)
        for index in range(9):
            rise = (turn * (1 + index % 2) + index / 9) % 1
            x = WIDTH * (0.08 + 0.84 * (index * 0.37 % 1)) + 16 * math.sin(2 * math.pi * rise * 2 + index)
            size = 20 + index * 11 % 22
            fade = min(1, 5 * rise, 5 * (1 - rise))
            _place(frame, bubble[size], x, HEIGHT * (0.92 - 0.85 * rise), strength=0.85 * fade)
        yield frame


CLOUDS = ((1, 210, 60, 1, 0.1), (2, 150, 190, 1, 0.55), (3, 120, 30, 2, 0.8), (4, 170, 255, 1, 0.9))


def _cloud(seed: int, size: int) -> Image.Image:
    rng = np.random.default_rng(seed)

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        for step in range(9):
            x = size * (0.14 + 0.72 * step / 8)
            radius = size * (0.07 + 0.11 * math.sin(math.pi * step / 8)) * rng.uniform(0.85, 1.15)
            y = size * 0.36 - radius * 0.45
            draw.ellipse(
                [(x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale], fill="#ffffff"
            )
        draw.rounded_rectangle(
            [size * 0.1 * scale, size * 0.3 * scale, size * 0.9 * scale, size * 0.41 * scale],
            size * 0.055 * scale,
            fill="#ffffff",
        )

    return _drawn(paint, size, round(size * 0.46), blur=1.4)


def _meadow() -> Image.Image:
    rng = np.random.default_rng(5)

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        for shade, base, swell, wide, phase in (
            ("#bfe0a8", 40, 26, 120, 0.4),
            ("#a0d18e", 92, 22, 96, 2.2),
            ("#84c37c", 158, 18, 140, 4.0),
        ):
            line = [(x * scale, (base + swell * math.sin(phase + x / wide)) * scale) for x in range(0, WIDTH + 1, 4)]
            draw.polygon([(0, 420 * scale), *line, (WIDTH * scale, 420 * scale)], fill=shade)
        for _ in range(90):
            x, y = rng.uniform(0, WIDTH), rng.uniform(205, 400)
            size = 1.6 + 2.4 * (y - 200) / 200
            petal = ("#fff6e8", "#ffd1dc", "#ffe08a", "#ffb9a8")[int(rng.integers(4))]
            for point in range(5):
                cx, cy = x + size * 1.2 * math.cos(point * 1.2566), y + size * 1.2 * math.sin(point * 1.2566)
                draw.ellipse(
                    [(cx - size) * scale, (cy - size) * scale, (cx + size) * scale, (cy + size) * scale], fill=petal
                )
            draw.ellipse(
                [
                    (x - size * 0.7) * scale,
                    (y - size * 0.7) * scale,
                    (x + size * 0.7) * scale,
                    (y + size * 0.7) * scale,
                ],
                fill="#f6b73c",
            )

    return _drawn(paint, WIDTH, 420)


def _sag(x: float) -> float:
    """Height of the line at x, below the posts' tops."""
    return 12 + 34 * (1 - ((x - WIDTH / 2) / (WIDTH / 2)) ** 2)


def _posts() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        for x in (10, WIDTH - 10):
            draw.rounded_rectangle([(x - 7) * scale, 0, (x + 7) * scale, 470 * scale], 6 * scale, fill="#b98a5e")
            draw.rectangle([(x - 7) * scale, 6 * scale, (x - 3) * scale, 466 * scale], fill="#cfa276")
        line = [(x * scale, _sag(x) * scale) for x in range(0, WIDTH + 1, 6)]
        draw.line(line, fill="#8a6a52", width=round(2.2 * scale), joint="curve")

    return _drawn(paint, WIDTH, 470)


def _bunting() -> Image.Image:
    shades = ("#f9a8b8", "#ffd87a", "#9fd8c9", "#a9c6f5", "#f7c29b")

    def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
        def sag(x: float) -> float:
            return 6 + 46 * (1 - ((x - WIDTH / 2) / (WIDTH / 2)) ** 2)

        draw.line([(x * scale, sag(x) * scale) for x in range(0, WIDTH + 1, 6)], fill="#ffffff", width=round(2 * scale))
        for index in range(9):
            x = 30 + index * 60
            flag = ((x - 19, sag(x - 19)), (x + 19, sag(x + 19)), (x, sag(x) + 40))
            draw.polygon([(px * scale, py * scale) for px, py in flag], fill=shades[index % 5])

    return _drawn(paint, WIDTH, 110)


def _bubble() -> dict[int, Image.Image]:
    def made(size: int) -> Image.Image:
        def paint(draw: ImageDraw.ImageDraw, scale: float) -> None:
            edge = size * scale
            draw.ellipse([1, 1, edge - 1, edge - 1], fill="#ffffff38", outline="#ffffffc8", width=round(1.2 * scale))
            draw.ellipse([edge * 0.22, edge * 0.18, edge * 0.42, edge * 0.36], fill="#ffffffd0")

        return _drawn(paint, size, size)

    return {size: made(size) for size in range(20, 42)}


Point = tuple[float, float]


def _clothes() -> list[tuple[Image.Image, float, float, float]]:
    """(sprite, x, y, how freely it sways) of each piece, hung from its upper edge."""
    pieces = ((_tee, 92.0), (_dress, 206.0), (_dungarees, 322.0), (_romper, 436.0))
    return [(_hung(piece), x, 300 + _sag(x), 0.8 + 0.12 * index) for index, (piece, x) in enumerate(pieces)]


def _hung(paint: Callable[[ImageDraw.ImageDraw, float], None]) -> Image.Image:
    """A piece of clothing with room around it to turn."""
    roomy = Image.new("RGBA", (212, 230))
    roomy.paste(_drawn(paint, 132, 190), (40, 0))
    return roomy


def _poly(draw: ImageDraw.ImageDraw, scale: float, points: tuple[Point, ...], fill: str) -> None:
    draw.polygon([(x * scale, y * scale) for x, y in points], fill=fill)


def _dot(draw: ImageDraw.ImageDraw, scale: float, x: float, y: float, radius: float, fill: str) -> None:
    draw.ellipse([(x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale], fill=fill)


def _pegs(draw: ImageDraw.ImageDraw, scale: float, *places: float) -> None:
    for x in places:
        draw.rounded_rectangle([(x - 3) * scale, 0, (x + 3) * scale, 20 * scale], 2 * scale, fill="#d8a86a")


def _tee(draw: ImageDraw.ImageDraw, scale: float) -> None:
    body = ((38, 12), (94, 12), (124, 34), (112, 60), (98, 52), (100, 136), (32, 136), (34, 52), (20, 60), (8, 34))
    _poly(draw, scale, body, "#fffaf0")
    for row, shade in enumerate(("#f48b7f", "#f7b267", "#7cc6b5", "#7fa8e8", "#f48b7f")):
        top = 54 + row * 16
        _poly(draw, scale, ((34, top), (98, top), (99, top + 8), (33, top + 8)), shade)
    _poly(draw, scale, ((8, 34), (20, 60), (26, 56), (14, 30)), "#f48b7f")
    _poly(draw, scale, ((124, 34), (112, 60), (106, 56), (118, 30)), "#f48b7f")
    draw.pieslice([50 * scale, 0, 82 * scale, 26 * scale], 0, 180, fill="#f48b7f")
    _pegs(draw, scale, 40, 92)


def _dress(draw: ImageDraw.ImageDraw, scale: float) -> None:
    _poly(draw, scale, ((44, 12), (56, 12), (58, 26), (74, 26), (76, 12), (88, 12), (92, 70), (40, 70)), "#ffd36e")
    _poly(draw, scale, ((40, 70), (92, 70), (124, 160), (8, 160)), "#ffd36e")
    for step in range(9):
        x = 15 + step * 12.75
        _dot(draw, scale, x, 160, 7, "#ffd36e")
    for x, y in ((38, 100), (64, 94), (90, 104), (28, 132), (52, 126), (78, 134), (104, 138), (62, 50)):
        for point in range(5):
            _dot(draw, scale, x + 4 * math.cos(point * 1.2566), y + 4 * math.sin(point * 1.2566), 3.2, "#ffffff")
        _dot(draw, scale, x, y, 2.6, "#f48b7f")
    _poly(draw, scale, ((38, 66), (94, 66), (95, 76), (37, 76)), "#f48b7f")
    for side in (-1, 1):
        _poly(draw, scale, ((66, 71), (66 + side * 16, 62), (66 + side * 16, 80)), "#f7a59b")
    _pegs(draw, scale, 50, 82)


def _dungarees(draw: ImageDraw.ImageDraw, scale: float) -> None:
    _poly(draw, scale, ((42, 10), (50, 10), (52, 40), (44, 40)), "#5f8fcf")
    _poly(draw, scale, ((82, 10), (90, 10), (88, 40), (80, 40)), "#5f8fcf")
    _poly(
        draw,
        scale,
        (
            (42, 36),
            (90, 36),
            (94, 78),
            (104, 84),
            (108, 170),
            (72, 170),
            (66, 112),
            (60, 170),
            (24, 170),
            (28, 84),
            (38, 78),
        ),
        "#6f9fdd",
    )
    _poly(draw, scale, ((50, 46), (82, 46), (82, 70), (66, 76), (50, 70)), "#8ab4ea")
    for point in range(10):
        radius, turn = (8.0 if point % 2 == 0 else 3.6), math.pi * (point / 5 - 0.5)
        _dot(draw, scale, 66 + radius * 0.5 * math.cos(turn), 58 + radius * 0.5 * math.sin(turn), 3, "#ffe08a")
    for x in (24, 72):
        draw.rectangle([x * scale, 160 * scale, (x + 36) * scale, 171 * scale], fill="#a9c8f0")
    for x in (47, 85):
        _dot(draw, scale, x, 40, 3.4, "#ffe08a")
    _pegs(draw, scale, 46, 86)


def _romper(draw: ImageDraw.ImageDraw, scale: float) -> None:
    _poly(
        draw,
        scale,
        (
            (40, 12),
            (92, 12),
            (120, 40),
            (106, 62),
            (96, 52),
            (98, 104),
            (92, 134),
            (74, 134),
            (66, 118),
            (58, 134),
            (40, 134),
            (34, 104),
            (36, 52),
            (26, 62),
            (12, 40),
        ),
        "#f9b4c6",
    )
    draw.pieslice([50 * scale, -2 * scale, 82 * scale, 26 * scale], 0, 180, fill="#fff4f2")
    _dot(draw, scale, 66, 76, 19, "#fff4f2")
    for x in (53, 79):
        _dot(draw, scale, x, 60, 7.5, "#fff4f2")
        _dot(draw, scale, x, 60, 4, "#f9b4c6")
    for x in (60, 72):
        _dot(draw, scale, x, 73, 2.2, "#6b4a55")
    _dot(draw, scale, 66, 80, 3, "#f48b7f")
    for x in (40, 74):
        draw.rounded_rectangle([x * scale, 128 * scale, (x + 18) * scale, 137 * scale], 4 * scale, fill="#fff4f2")
    _pegs(draw, scale, 44, 88)


FRAMES: dict[Scene, Callable[[], Iterator[Picture]]] = {Scene.SHORE: _shore, Scene.WARDROBE: _wardrobe}

if __name__ == "__main__":
    main(Scene(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
