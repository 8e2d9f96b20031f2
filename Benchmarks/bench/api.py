"""The API: JSON, and an event stream to a hundred readers."""

import subprocess

from . import build, contenders, load, processes
from .contenders import GO, PARTS
from .measurement import Measurement, alternate

_MODES = {"quick": (1, 3), "full": (3, 9)}
_READERS = 100
_NOTE_JSON = (
    "Encode: the document of GET /v1/info. Decode: the body of PUT /v1/actuators/NAME; Haechi refuses unknown and doubled members, Go's decoder "
    "unknown ones."
)
_NOTE_STREAM = f"{contenders.BURST_EVENTS} readings to {_READERS} streams; from the request for the burst until each reader has read the last."


def run(mode):
    seconds, rounds = _MODES[mode]
    programs = {PARTS: [build.swift("haechi-bench"), "json", seconds], GO: [build.go_server(), "-json", seconds]}
    if contenders.before_program:
        programs = {PARTS: programs[PARTS], contenders.BEFORE: [contenders.before_program, "json", seconds], GO: programs[GO]}
    samples = alternate(rounds, programs, lambda _, command: _json(command))
    result = [
        Measurement(f"JSON, {name}", "µs", "lower", {who: [sample[name] for sample in made] for who, made in samples.items()}, _NOTE_JSON)
        for name in ("encode", "decode")
    ]
    with contenders.running(*contenders.with_before(PARTS, GO)) as servers:
        samples = alternate(rounds, servers, lambda _, server: load.run(server, "streams", connections=_READERS, events=contenders.BURST_EVENTS))
    rates = {who: [sample["rate"] for sample in made] for who, made in samples.items()}
    costs = {who: [sample["processor_us"] for sample in made] for who, made in samples.items()}
    result.append(Measurement(f"events to {_READERS} streams", "per second", "higher", rates, _NOTE_STREAM))
    result.append(Measurement(f"event to one of {_READERS} streams, server's processor time", "µs", "lower", costs, _NOTE_STREAM))
    return result


def _json(command):
    """Microseconds of each operation that the program measured in itself."""
    text = subprocess.run(processes.pinned(processes.SERVER_CPU, command), stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(taken_ns) / int(count) / 1000 for name, count, taken_ns in (line.split() for line in text.splitlines())}
