"""Media tests run against the real ffmpeg; helpers are in `on_air.py` beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
