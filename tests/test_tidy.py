"""House rules as code."""

import ast
import importlib
import pkgutil
import re
import subprocess
from pathlib import Path

import laotie
from laotie.base import events as base_events
from laotie.base.refusals import Refusal

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "laotie"
ROOMS = (
    "identity", "ledger", "catalog", "live", "fans", "traffic", "payments", "orders",
    "fun", "media", "audit", "uploads", "videos", "trust", "aftersales", "webhooks", "settlement",
    "lake", "insight",
)
SCHEMAS = ("base", *ROOMS)
LINES_MAX = 650
FRONT_DOOR_LINES_MAX = 170
BANNED_NAMES = {
    "service.py",
    "services.py",
    "repository.py",
    "utils.py",
    "helpers.py",
    "manager.py",
    "models.py",
    "common.py",
}


def sources() -> list[Path]:
    return [path for path in SOURCE.rglob("*.py") if "page" not in path.parts]


def test_files_are_named_by_what_they_do() -> None:
    assert [path for path in sources() if path.name in BANNED_NAMES] == []


def test_no_file_is_longer_than_one_can_hold_in_mind() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_every_public_function_and_class_of_a_room_has_a_docstring() -> None:
    silent = []
    for room in ROOMS:
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                if public and not node.name.startswith("_") and ast.get_docstring(node) is None:
                    silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert silent == []


def test_a_rooms_sql_names_its_own_schema_and_no_other() -> None:
    strangers = []
    for room in ROOMS:
        others = "|".join(schema for schema in SCHEMAS if schema != room)
        pattern = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:ONLY\s+)?({others})\.\"?[a-z_]+")
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    strangers += [
                        f"{path.relative_to(ROOT)}:{node.lineno} {hit}" for hit in pattern.findall(node.value)
                    ]
    assert strangers == []


def test_doors_hold_no_sql() -> None:
    statement = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s+\S")
    found = []
    for door in ("web", "gateway", "worker"):
        for path in (SOURCE / door).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.value.strip()[:40]}")
    assert [hit for hit in found if not hit.endswith("SELECT 1")] == []


def test_csv_is_written_in_one_place() -> None:
    """Where formulas are guarded against. (A provider's own statement, as the sandbox plays it, is for no spreadsheet.)"""
    allowed = {"base/cells.py", "payments/sandbox_bank.py"}
    writers = {
        str(path.relative_to(SOURCE)) for path in sources() if re.search(r"csv\.(writer|DictWriter)\(", path.read_text())
    }
    assert writers <= allowed


def test_time_comes_from_the_clock() -> None:
    asked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"datetime\.(now|utcnow)\(", line)
        and path.name != "clock.py"
        and path.parent.name != "media"  # pictures are of the wall clock, whatever a test says
    ]
    assert asked == []


def test_every_refusal_has_a_code_of_its_own_and_a_sentence() -> None:
    for module in pkgutil.walk_packages(laotie.__path__, "laotie."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    codes: dict[str, str] = {}
    waiting = list(Refusal.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not kind.__module__.startswith("laotie."):
            continue
        name = f"{kind.__module__}.{kind.__qualname__}"
        assert codes.setdefault(kind.code, name) == name, f"{name} and {codes[kind.code]} share {kind.code}"
        assert kind.title.endswith((".", "!")), f"{name} needs a sentence: {kind.title!r}"


def test_every_event_has_a_tag_of_its_own_in_the_past_tense() -> None:
    tags = base_events.known_tags()
    assert len(tags) == len(set(tags)) > 10
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", tag) for tag in tags)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_documents_point_at_what_exists() -> None:
    broken = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text()):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)} → {target}")
    assert broken == []


def test_no_path_of_a_machine_and_no_secret_is_committed() -> None:
    pattern = re.compile(rb"/work/|/root/|BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY")
    suspicious = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix not in (".gz", ".png", ".ttf", ".webp", ".jpg")
        and path.name != Path(__file__).name
        and pattern.search(path.read_bytes())
    ]
    assert suspicious == []
