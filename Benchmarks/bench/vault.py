"""The vault: values put, got, appended and scanned, beside SQLite with SQLCipher and beside the cipher alone."""

import pathlib
import subprocess
import tempfile

from . import build, contenders, processes
from .contenders import PARTS
from .measurement import Measurement, alternate

# Values of each kind, and rounds.
_MODES = {"quick": (500, 5), "full": (2000, 15)}
_SQLCIPHER, _CIPHER = "SQLCipher", "AES-256-GCM alone"
# How long somebody waits for what has to reach the medium; processor time where nothing does.
_DURABLE = {"put": "put", "append": "append", "put, 100 in a transaction": "put, each of 100 in a transaction"}
_READ = {"get": "get", "scan": "scan, each entry"}
_OPEN = "open and get one"
_REWRITE = "rewrite without what was replaced, each value"
_NOTE = (
    "Readings of a name, a unit and a number. SQLCipher: columns, a write-ahead log, synchronous=FULL, the key given as it is; what it has read "
    "before it keeps decrypted in memory (2 MB), where the vault keeps no value and decrypts each anew. Rewrite: VACUUM and a full checkpoint. "
    "Alone: 64 bytes with one key in one context, and the same flush."
)


def run(mode):
    count, rounds = _MODES[mode]
    programs = {PARTS: [build.swift("haechi-bench"), "vault"]}
    if contenders.before_program:
        programs[contenders.BEFORE] = [contenders.before_program, "vault"]
    peer = build.vault_peer()
    programs |= {_SQLCIPHER: [peer, "sqlcipher"], _CIPHER: [peer, "cipher"]}
    samples = alternate(rounds, programs, lambda _, command: _sample(command, count))
    result = []
    for kind, name in _DURABLE.items():
        result.append(_measurement(name, kind, samples, 0))
    for kind, name in (_DURABLE | _READ).items():
        result.append(_measurement(f"{name}, processor time", kind, samples, 1))
    stores = {who: made for who, made in samples.items() if who != _CIPHER}
    result.append(_measurement(_REWRITE, "rewrite", stores, 0))
    result.append(_measurement(f"{_OPEN} of {2 * count:,}", "open", stores, 0))
    return result


def _measurement(name, kind, samples, place):
    return Measurement(name, "µs", "lower", {who: [sample[kind][place] for sample in made] for who, made in samples.items()}, _NOTE)


def _sample(command, count):
    """By kind of work: microseconds of each operation, and those of them on a processor."""
    # Beside what is built: on a file system that keeps it, which a folder for temporary files need not be.
    with tempfile.TemporaryDirectory(prefix="vault-", dir=build.PACKAGE / ".build") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o700)
        words = processes.pinned(processes.SERVER_CPU, [*command, folder, count])
        text = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = (line.split("\t") for line in text.splitlines())
    return {kind: (int(taken_ns) / int(operations) / 1000, int(cpu_ns) / int(operations) / 1000) for kind, operations, taken_ns, cpu_ns in lines}
