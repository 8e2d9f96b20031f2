"""The disk: throughput with Haechi's encryption and without, in the same machine, and how long a wipe takes beside overwriting the partition."""

import re
import subprocess

import tempfile
import time
from pathlib import Path

from . import boot_systems, build
from .boot_lab import ROOT, LabError
from .boot_systems import HAECHI, Machine
from .measurement import Measurement

from owner import Owner  # isort: skip - Tests/Device, which boot_systems puts on the path

PLAIN, XTS, ADIANTUM, OVERWRITE = "not encrypted", "AES-256-XTS", "Adiantum", "overwriting the partition"
# What Haechi takes where the processor has AES instructions, as the emulated one does.
NAMES = {XTS: f"{HAECHI} ({XTS})", ADIANTUM: f"{HAECHI} ({ADIANTUM})", PLAIN: PLAIN, OVERWRITE: OVERWRITE}
DEADLINE_S = 900
ORDERED = re.compile(r"^\[ *(\d+\.\d+)\].*is released by its owner; the machine restarts", re.MULTILINE)
DESTROYED = re.compile(r"^\[ *(\d+\.\d+)\].*shutdown wipe: done", re.MULTILINE)
NOTE = "Past the kernel's cache, pieces of 1 MiB, in turns in one emulated machine; a real processor's AES instructions cost less than emulated ones."
NOTE_WIPE = "From the owner's accepted order to the destroyed keys, with a TPM; beside it writing zeros over 256 MiB in the same board."


def run(mode):
    machines, wipes = (1, 3) if mode == "quick" else (3, 10)
    samples = {}
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as folder:
        firmware = _firmware(Path(folder))
        for _ in range(machines):
            for (way, kind), values in measured(_serial(firmware)).items():
                samples.setdefault(kind, {}).setdefault(NAMES[way], []).extend(values)
    build.operator()
    wiped = {HAECHI: [_wipe() for _ in range(wipes)]}
    return [
        _rate("write", samples["write"]),
        _rate("read", samples["read"]),
        Measurement("4 KiB that must be on the medium", "ms", "lower", _ordered(samples["durable"], lambda each_s: 1000 * each_s), NOTE),
        Measurement(
            "a wipe, from the order to the destroyed keys", "s", "lower", wiped | _ordered(samples["wipe"], lambda each_s: each_s), NOTE_WIPE
        ),
    ]


def _rate(kind, of):
    return Measurement(kind, "MB/s", "higher", _ordered(of, lambda each_s: 1 / each_s / 1e6), NOTE)


def _ordered(of, convert):
    """Haechi's own first."""
    return {name: [convert(value) for value in of[name]] for name in NAMES.values() if name in of}


def measured(text):
    """{(way, kind): [seconds for each byte, block or partition]} of a machine's words."""
    lines = [line.split("\t") for line in text.replace("\r", "").splitlines()]
    if ["end"] not in lines:
        raise LabError(f"the machine that measures its disk did not come to its end: {text[-500:]}")
    result = {}
    for way, kind, count, taken_ns in (line for line in lines if len(line) == 4):
        result.setdefault((way, kind), []).append(int(taken_ns) / 1e9 / int(count))
    return result


def wipe_s(serial):
    """From the order to the end of the keys, by the device's own clock."""
    ordered, destroyed = ORDERED.search(serial), DESTROYED.search(serial)
    return float(destroyed[1]) - float(ordered[1]) if ordered and destroyed else None


def _firmware(folder):
    options = ("-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror")
    program = folder / "disk-peer"
    boot_systems.run("aarch64-linux-gnu-gcc", *options, "-o", program, ROOT / "Benchmarks/peers/disk/init.c")
    return boot_systems.firmware(folder, "disk", program.read_bytes(), {}, ("debug",))[0]["debug"]


def _serial(firmware):
    """What a machine says that measures its disk and switches itself off."""
    command = [ROOT / "Images/qemu", "--variant", "debug", "--image", boot_systems.image("debug"), "--firmware", firmware]
    command += ["--snapshot", "--serial", "stdio"]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S)
    return done.stdout


def _wipe():
    boot_systems.image("debug")
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as folder:
        device = Path(folder) / "device"
        device.mkdir()
        with Machine("debug", tpm=True, device=device, serial_on_stdio=True) as machine:
            machine.wait_until_it_listens(deadline_s=600)
            owner = Owner(machine).provision_and_claim()
            owner.run("transfer", "--yes")
            end = time.monotonic() + DEADLINE_S
            while (taken_s := wipe_s(machine.serial_text.replace("\r", ""))) is None:
                if time.monotonic() > end or not machine.running:
                    raise LabError(f"the device did not say that its keys are gone: {machine.serial_text[-500:]}")
                time.sleep(0.2)
            return taken_s
