"""The README's table: what a reader asks first, out of the results files, between two marks."""

import json
import pathlib

from .contenders import BEFORE, DEVICE
from .measurement import measurement
from .report import value

BEGIN, END = "<!-- made by make bench: do not edit -->", "<!-- end of what make bench made -->"
# By subject, in the table's order: a measurement's name and what the README calls it.
ROWS = {
    "boot": {
        "kernel start to first authenticated answer": "kernel start to first authenticated answer",
        "the same, on a core of 500 million instructions a second": "the same, 500 million instructions a second",
        "firmware file": "firmware file, unsigned",
        "memory that was ever written until the first answer": "memory written until then",
        "smallest machine that answers": "smallest machine that answers",
    },
    "tls": {
        "full handshake, X25519": "full mutual handshakes and a request",
        "resumed handshake, X25519": "resumed handshakes and a request",
        "GET /v1/info, 16 connections": "requests, 16 connections",
        "GET /v1/info, 16 connections, server's processor time": "processor time of a request",
        "16 MB body": "16 MB body",
    },
    "api": {"JSON, encode": "JSON, encode", "JSON, decode": "JSON, decode", "events to 100 streams": "events to 100 streams"},
    "vault": {"put": "vault: put, durable", "get, processor time": "vault: get", "scan, each entry, processor time": "vault: scan, each entry"},
    "footprint": {"memory, at the end": "memory after mixed load"},
}
# Themselves, and what is no peer.
_LEFT_OUT = (BEFORE, DEVICE, "limit")
_SCALES = {"bytes": ((1e6, "MB"),), "µs": ((1e3, "ms"),)}


def write(readme: pathlib.Path, results: pathlib.Path):
    """Puts the table between the marks of `readme`; what stands around it stays."""
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {readme} does not have the lines '{BEGIN}' and '{END}'")
    readme.write_text(f"{head}{BEGIN}\n\n{table(results)}\n{END}{tail}", encoding="utf-8")


def table(results: pathlib.Path):
    """A row for each of `ROWS` that has results, and a sentence on when, where and of which commit they are."""
    lines = ["| what | Haechi | beside it: times better than that (1 is parity) |", "|---|---|---|"]
    origins = {}
    for subject, names in ROWS.items():
        path = results / f"{subject}.json"
        if not path.is_file():
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        made = {one.name: one for one in map(measurement, document["measurements"])}
        origin = f"{document['made'][:10]}, commit {document['commit']}, {document['mode']} mode, {document['machine']}"
        origins.setdefault(origin, []).append(subject)
        lines += [_row(title, made[name]) for name, title in names.items() if name in made]
    sentences = [f"{', '.join(subjects)}: {origin}." for origin, subjects in origins.items()]
    return "\n".join([*lines, "", *sentences]) + "\n"


def _row(title, made):
    own, *others = made.samples
    cells = []
    for who in others:
        if who in _LEFT_OUT:
            continue
        ratio = made.ratio(own, who)
        cells.append(f"{who} {_text(made, who)}" + (f" ({ratio:.2f} ×)" if ratio else ""))
    return f"| {title} | {_text(made, own)} | {'; '.join(cells)} |"


def _text(made, who):
    for size, unit in _SCALES.get(made.unit, ()):
        if made.median(who) >= size:
            return f"{made.median(who) / size:.3g} {unit}"
    return f"{value(made, who)} {made.unit}"
