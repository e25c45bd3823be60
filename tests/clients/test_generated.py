"""The committed client is the one that the API's description makes."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "python" / "src" / "laotie_client"
SIZE_MAX = 1_000_000


def generator() -> ModuleType:
    """`clients/python/generate.py`."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "clients" / "python" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_client_is_made_from_the_committed_description() -> None:
    """The types are only compared by what they are made from: making them takes five seconds."""
    document = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
    made = generator()
    for name, text in made.make_operations(document).items():
        assert (PACKAGE / name).read_text(encoding="utf-8") == text, "run python clients/python/generate.py"
    models = (PACKAGE / "models.py").read_text(encoding="utf-8")
    assert f"# schemas: {made.digest_of(document)}\n" in models, "run python clients/python/generate.py"


def test_the_client_stays_small() -> None:
    assert sum(path.stat().st_size for path in PACKAGE.glob("*.py")) < SIZE_MAX
