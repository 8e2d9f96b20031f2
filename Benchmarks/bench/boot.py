"""Boot, size, memory: the release image beside a Go server as PID 1, a C program that only opens a port, and Debian with nginx.

Haechi, Go and the floor have the same kernel, the same emulated board, the same compression; Debian has its own kernel and a disk. Everyone
but Haechi is given its address, where Haechi asks a DHCP server, and nobody but Haechi has packet rules, a sandbox, or a supervisor.
"""

import re
import tempfile
from pathlib import Path

from . import boot_systems
from .boot_lab import LabError, Network, boot
from .boot_systems import DEBIAN, HAECHI
from .measurement import Measurement, alternate

# The smallest machine is looked for between these, in steps; a machine that answers needs a few seconds, one that does not stops by itself.
SMALLEST_MIB, LARGEST_MIB, STEP_MIB = 20, 128, 4
SMALL_MACHINE_DEADLINE_S = 60
NOTE_SAME = "Haechi, Go and floor: the same kernel and emulated board. Debian: its own kernel, systemd and nginx."


def run(mode):
    rounds = 5 if mode == "quick" else 15
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as folder, Network() as network:
        systems = boot_systems.make(Path(folder))
        small = {name: system for name, system in systems.items() if name != DEBIAN}
        boots = alternate(rounds, small, lambda _, system: _boot(network, system))
        # Ten times as slow as the slowest of the others: a few samples tell as much.
        boots[DEBIAN] = [_boot(network, systems[DEBIAN]) for _ in range(1 if mode == "quick" else 3)]
        counted = alternate(3 if mode == "quick" else 5, small, lambda _, system: _boot(network, system, instructions=True))
        memory = {name: _boot(network, system, variant="debug").answer for name, system in small.items() if name != HAECHI}
        memory = {HAECHI: boot_systems.haechi_memory()} | memory | {DEBIAN: boot_systems.debian_memory(systems[DEBIAN])}
        smallest = {name: [_smallest(network, system)] for name, system in small.items()}
    return [
        _of("kernel start to first authenticated answer", "s", boots, lambda one: one.answered_s, NOTE_SAME),
        _of("the same, processor time of the emulator", "s", boots, lambda one: one.emulator_cpu_s),
        _of(
            "the same, on a core of 500 million instructions a second", "s", counted, lambda one: one.virtual_s,
            "The machine's clock counts instructions (QEMU -icount), so other load on this computer is not in it; waiting is.",
        ),
        Measurement("firmware file", "bytes", "lower", {name: [system.file_bytes] for name, system in systems.items()}, boot_systems.NOTE_SIZE),
        _of("memory that was ever written until the first answer", "bytes", boots, lambda one: one.touched_bytes),
        Measurement(
            "memory of the machine that is not available after the first answer", "bytes", "lower",
            {who: [used_bytes(text)] for who, text in memory.items()}, "On the debug kernel, which has a line to ask by; Haechi with its shell.",
        ),
        Measurement(
            "resident memory of the serving process", "bytes", "lower", {who: [resident_bytes(text)] for who, text in memory.items()},
            "Mapped files count, which lie in memory once, however often they are mapped. Floor and Go are PID 1 themselves.",
        ),
        Measurement("smallest machine that answers", "MiB", "lower", smallest, f"In steps of {STEP_MIB} MiB."),
    ]  # fmt: skip


def _of(name, unit, boots, value, note=""):
    return Measurement(name, unit, "lower", {who: [value(one) for one in list_of] for who, list_of in boots.items()}, note)


def _boot(network, system, *, instructions=False, variant="release", memory_mib=None, deadline_s=900):
    return boot(
        network, boot_systems.image(variant), system.kernels[variant], memory_mib=memory_mib or system.memory_mib, credentials=system.credentials,
        extra=system.extra, instructions=instructions, variant=variant, deadline_s=deadline_s,
    )  # fmt: skip


def _smallest(network, system):
    """The smallest machine in which the system answers; the search believes that one that is larger answers too."""
    low, high = SMALLEST_MIB // STEP_MIB, LARGEST_MIB // STEP_MIB
    while low < high:
        middle = (low + high) // 2
        try:
            _boot(network, system, memory_mib=middle * STEP_MIB, deadline_s=SMALL_MACHINE_DEADLINE_S)
            high = middle
        except LabError:
            low = middle + 1
    return high * STEP_MIB


def used_bytes(meminfo):
    """What a machine uses, by its /proc/meminfo: all that is not available."""
    fields = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", meminfo, re.MULTILINE)}
    try:
        return fields["MemTotal"] - fields["MemAvailable"]
    except KeyError as error:
        raise LabError(f"a machine's answer names no {error}") from error


def resident_bytes(text):
    """Of the server: `VmRSS:` lines of /proc/PID/status, added up, or the second field of a line as /proc/PID/statm has it."""
    if lines := re.findall(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE):
        return sum(int(kib) for kib in lines) * 1024
    if line := re.search(r"^\d+ (\d+)(?: \d+){5}$", text, re.MULTILINE):
        return int(line[1]) * 4096
    raise LabError("a machine's answer does not tell what its server holds")
