"""Instructions of a fixed number of operations, counted by callgrind: they repeat where times do not. `Benchmarks/count` records them."""

import json
import pathlib
import re
import tempfile

from . import build, contenders, load
from .credentials import Credentials
from .measurement import Measurement

RECORD = pathlib.Path(__file__).resolve().parent.parent / "instructions.json"
# Name: what the client does, its options, and how many operations the two runs make: their difference holds neither start nor end.
_KINDS = {
    "full handshake and one request": ("handshakes", {}, (20, 60)),
    "resumed handshake and one request": ("resumed", {}, (20, 60)),
    "GET /v1/info": ("requests", {}, (100, 500)),
    "refused request (404)": ("requests", {"path": "/nothing"}, (100, 500)),
    "16 MB body": ("requests", {"path": "/body"}, (1, 4)),
}
_NOTE = "Instructions of the server per operation, callgrind on the host's release build; beside it the committed record."


def run(_):
    counted = count(build.swift("haechi-bench"))
    before = count(contenders.before_program) if contenders.before_program else {}
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["instructions"] if RECORD.is_file() else {}
    return [Measurement(name, "instructions", "lower", _beside(name, value, before, recorded), _NOTE) for name, value in counted.items()]


def _beside(name, value, before, recorded):
    others = {"before": before, "recorded": recorded}
    return {"now": [value]} | {who: [counts[name]] for who, counts in others.items() if name in counts}


def count(program):
    """Instructions per operation of a build of haechi-bench, by name."""
    return {
        name: round((_total(program, kind, options, last) - _total(program, kind, options, first)) / (last - first))
        for name, (kind, options, (first, last)) in _KINDS.items()
    }


def _total(program, kind, options, operations):
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as name:
        folder = pathlib.Path(name)
        output = folder / "callgrind.out"
        watch = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={output}"]
        server = contenders.parts(folder, Credentials(folder), before=watch, program=build.for_callgrind(program, folder))
        try:
            body = {"address": server.body_address} if options.get("path") == "/body" else {}
            load.run(server, kind, count=operations, seconds=600, connections=1, **options, **body)
        finally:
            server.stop()
        found = re.search(r"^(?:summary|totals): (\d+)", output.read_text(encoding="utf-8", errors="replace"), re.M)
        if not found:
            raise SystemExit(f"bench: callgrind left no total in {output}")
        return int(found.group(1))


def record():
    """Writes the record that reviews are held against."""
    version = build.compiler_version()
    RECORD.write_text(json.dumps({"compiler": version, "instructions": count(build.swift("haechi-bench"))}, indent=1) + "\n", encoding="utf-8")
