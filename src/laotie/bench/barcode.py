"""A clock that a program can read out of a moving picture: the time of day as a strip of black and white cells.

24 bits of milliseconds, most significant first, and below them the same inverted, so that a picture that is not the
clock, or is torn, reads as nothing. The geometry is of a 1280×720 picture; whoever reads scales it.
"""

import json
import time
from pathlib import Path

BITS = 24
WIDTH, HEIGHT = 1280, 720
LEFT, TOP, CELL, ROW = 64, 600, 48, 40
"""Where the strip lies in the picture, and how large one cell is."""
PERIOD_MS = 1 << BITS
FRAMES_PER_S = 30


def push_arguments(ffmpeg: str, url: str) -> list[str]:
    """ffmpeg's own test card at 720p with this clock in it, pushed as OBS would push it.

    The time is taken where a picture is about to be drawn on; what follows (x264, FLV, TCP) counts as latency.
    """
    began_us = time.time_ns() // 1000
    milliseconds = f"mod({began_us // 1000 % PERIOD_MS}+floor(t*1000),{PERIOD_MS})"
    strip = [f"drawbox=x={LEFT - CELL}:y={TOP - ROW}:w={CELL * (BITS + 2)}:h={ROW * 4}:color=black:t=fill"]
    for bit in range(BITS):
        on = f"mod(floor({milliseconds}/{2 ** (BITS - 1 - bit)}),2)"
        box = f"drawbox=x={LEFT + bit * CELL}:w={CELL}:h={ROW}:color=white:t=fill"
        strip += [f"{box}:y={TOP}:enable='{on}'", f"{box}:y={TOP + ROW}:enable='not({on})'"]
    now = f"setpts='(RTCTIME-{began_us})/(TB*1000000)'"
    video = ",".join([now, *strip, f"setpts='N/({FRAMES_PER_S}*TB)'"])
    return [
        *(ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi"),
        *("-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAMES_PER_S}"),
        *("-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-filter_threads", "1", "-vf", video),
        *("-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-threads", "1", "-pix_fmt", "yuv420p"),
        *("-g", str(FRAMES_PER_S), "-keyint_min", str(FRAMES_PER_S), "-sc_threshold", "0"),
        *("-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "1250k", "-c:a", "aac", "-b:a", "128k", "-ar", "48000"),
        *("-flvflags", "no_duration_filesize", "-flush_packets", "1", "-f", "flv", url),
    ]


def read(luma: bytes, width: int) -> int | None:
    """The clock in a picture's luma plane; nothing where there is none."""
    at = 0
    for bit in range(BITS):
        x = LEFT + bit * CELL + CELL // 2
        upper, lower = (luma[(TOP + row + ROW // 2) * width + x] for row in (0, ROW))
        if abs(upper - lower) < 80:
            return None
        at = at * 2 + (upper > lower)
    return at


def page(name: str) -> str:
    """One of the bench's init scripts, with drawing and reading (`barcode.js`) at hand."""
    geometry = {"bits": BITS, "width": WIDTH, "left": LEFT, "top": TOP, "cell": CELL, "row": ROW, "period": PERIOD_MS}
    scripts = "\n".join((Path(__file__).parent / one).read_text() for one in ("barcode.js", name))
    return f"(() => {{\nconst BAR = {json.dumps(geometry)}\n{scripts}\n}})()"
