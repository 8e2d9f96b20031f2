"""A campaign of power cuts: a load runs and is recorded, and what a cut would have left at any instant of it is booted and looked at.

Three things are recorded while the machine works: each write to its disk and each flush, in their order (`cutdisk.py`); each state of its
memory beside the disk: the TPM's, and UEFI's variables where the machine has them; each state of the operator's folder; the last two with the
length that the record of the disk had just then. QEMU answers the guest once a write is in the record, and swtpm once its file was replaced. So
the record up to some entry and the state beside it at that length are what a cut at that instant leaves, but for what was not flushed: any part of
that may be lost. What the device had acknowledged up to that length must be there.

One run of the load gives many cuts. HAECHI_CUT_JOBS=N looks at N of them at a time.
"""

import os
import random
import shutil
import threading
import time
from bisect import bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cutdisk import Entry, entries, rebuild, rebuild_flash, unflushed
from machine import copy_device
from owner import Owner

TPM_MEMORY = Path("tpm/tpm2-00.permall")
POLL_S, DESK_EVERY = 0.002, 10
# An instant counts more, the more writes wait for a flush, up to so many. It counts as much again right after something was acknowledged, and about a
# change beside the disk, however short that is.
MOST_WORTH, NEAR = 20, 3


@dataclass(frozen=True)
class Beside:
    """What a device keeps beside its disk."""

    # Its memory; None before there is any.
    tpm: bytes | None
    # Of UEFI's variables: how long the record of the writes to them is.
    variables: int


@dataclass
class Span:
    """Of one state of something: the first and the last length of the log at which it was seen."""

    first: int
    last: int
    state: object


@dataclass
class Recording:
    """One run of a load on a copy of a device."""

    device: Path
    owner: Owner
    log: Path
    beside: list[Span] = field(default_factory=list)
    desks: list[Span] = field(default_factory=list)
    acknowledged: list[tuple[int, str, object]] = field(default_factory=list)
    # Where the load begins; before it the device boots.
    began: int = 0
    entries: list[Entry] = field(default_factory=list)
    variables: list[Entry] = field(default_factory=list)

    @property
    def log_of_variables(self) -> Path:
        return self.log.with_name(self.log.name + ".variables")

    def length(self) -> int:
        return size(self.log)

    def look_beside(self) -> Beside:
        tpm = self.device / TPM_MEMORY
        return Beside(tpm.read_bytes() if tpm.exists() else None, size(self.log_of_variables))

    def note(self, kind: str, value: object, length: int | None = None):
        """The device has acknowledged this: what is in the log by now, or was up to this length, holds it."""
        now = self.length()
        self.acknowledged.append((now if length is None else length, kind, value))
        # The operator's folder knows it too.
        self.desks.append(Span(now, now, self.owner.files()))

    def watch(self, ended: threading.Event):
        turn = 0
        while not ended.is_set():
            self.look(self.beside, self.look_beside)
            if turn % DESK_EVERY == 0:
                self.look(self.desks, self.owner.files)
            turn += 1
            time.sleep(POLL_S)

    def look(self, spans: list[Span], read):
        """Keeps what there is, where nothing was written meanwhile: then it belongs to this length."""
        before, state = self.length(), read()
        if self.length() != before:
            return
        if spans and spans[-1].state == state:
            spans[-1].last = before
        else:
            spans.append(Span(before, before, state))


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@dataclass
class Cut:
    """One instant of a recording, and the device as it is found then."""

    recording: Recording
    number: int
    # How many entries of the log there are.
    count: int
    beside: Beside
    # Decides what is lost.
    seed: str
    device: Path
    pending: int = 0
    lost: int = 0

    @property
    def length(self) -> int:
        return self.recording.entries[self.count - 1].end if self.count else 0

    def __str__(self) -> str:
        found = f"{self.lost} of {self.pending} unflushed writes lost, seed {self.seed}, the device is in {self.device}"
        return f"cut {self.number} after {self.count} entries ({self.length} bytes) of {self.recording.log}, {found}"

    def make(self, original: Path):
        """The device as it was before the load, and what the recording says that it became."""
        copy_device(original, self.device)
        dice = random.Random(self.seed)
        self.pending, self.lost = rebuild(self.device / "disk.img", self.recording.entries[: self.count], dice)
        rebuild_flash(self.device / "vars.fd", [entry for entry in self.recording.variables if entry.end <= self.beside.variables], dice)
        if self.beside.tpm is not None:
            (self.device / TPM_MEMORY).parent.mkdir(exist_ok=True)
            (self.device / TPM_MEMORY).write_bytes(self.beside.tpm)

    def acknowledged(self, kind: str) -> object | None:
        """The last that was acknowledged of this kind."""
        return next((value for length, other, value in reversed(self.recording.acknowledged) if other == kind and length <= self.length), None)

    def possible(self, kind: str) -> list[object]:
        """That, or what was ordered next and not acknowledged; the first that was noted was there before."""
        values = [(length, value) for length, other, value in self.recording.acknowledged if other == kind]
        known = sum(length <= self.length for length, _ in values)
        return [value for _, value in values[max(known - 1, 0) : known + 1]]

    def desk(self) -> dict:
        """The operator's folder then, the newest that was seen at this length; where none was, the next: nobody cut its power."""
        desks = self.recording.desks
        number = max((number for number, span in enumerate(desks) if span.first <= self.length), default=0)
        if desks[number].last < self.length:
            number = min(number + 1, len(desks) - 1)
        return desks[number].state


def record(original: Path, owner: Owner, folder: Path, act, options: dict) -> Recording:
    """Runs the load, whole, on a copy of the device; the last that happens is a cut. Without a load it is the machine's own start."""
    desk = owner.copy()
    run = Recording(copy_device(original, folder / "device"), desk, folder / "log")
    ended = threading.Event()
    watcher = threading.Thread(target=run.watch, args=(ended,), daemon=True)
    with desk.boot_again(run.device, log_writes=run.log, **options) as machine:
        desk.machine = machine
        watcher.start()
        try:
            machine.wait_until_it_listens()
            if act:
                run.began = run.length()
                act(desk, run)
        finally:
            ended.set()
            watcher.join()
        machine.cut_power()
    run.entries = entries(run.log)
    run.variables = entries(run.log_of_variables) if run.log_of_variables.exists() else []
    return run


def instants(run: Recording) -> tuple[list[tuple[int, Beside]], list[float]]:
    """Each state that the load went through, as entries of the log and what there was beside it, and how much it is worth to cut there."""
    found, worth = [], []
    waiting, ends = [0, *unflushed(run.entries)], [entry.end for entry in run.entries]
    # The first instants at which something had been acknowledged.
    fresh = {sum(end < length for end in ends) + 1 for length, _, _ in run.acknowledged}
    changes = [bisect_right(ends, span.first) for span in run.beside[1:]]
    for span in run.beside:
        if span.last < run.began:
            continue
        for count in range(bisect_right(ends, max(span.first, run.began)), bisect_right(ends, span.last) + 1):
            found.append((count, span.state))
            is_near = any(abs(change - count) <= NEAR for change in changes)
            worth.append(1 + min(waiting[count], MOST_WORTH) + MOST_WORTH * (is_near + (count in fresh)))
    return found, worth


def look_at(cut: Cut, original: Path, check, options: dict) -> str:
    """Boots what the cut left and has it checked; returns what the check says of it."""
    cut.make(original)
    desk = cut.recording.owner.copy(cut.desk())
    try:
        with desk.boot_again(cut.device, **options) as machine:
            desk.machine = machine.wait_until_it_listens()
            end = check(desk, machine, cut)
    except Exception as error:
        raise AssertionError(f"{cut}: {error}") from error
    shutil.rmtree(cut.device)
    return end


def campaign(original: Path, owner: Owner, tmp_path: Path, dice: random.Random, cuts: int, cuts_a_run: int, act, check, **options) -> Counter:
    """Records `act(owner, recording)`, cuts the power at `cuts` instants of it, and has `check(owner, machine, cut)` look at each.

    What `check` answers is counted. The device of a cut that fails stays, with the recording that it was made of.
    """
    ends: Counter = Counter()
    told: Counter = Counter()
    began = time.monotonic()
    with ThreadPoolExecutor(int(os.environ.get("HAECHI_CUT_JOBS", "1"))) as pool:
        while told["cuts"] < cuts:
            folder = tmp_path / f"run-{told['runs']}"
            folder.mkdir()
            run = record(original, owner, folder, act, options)
            found, worth = instants(run)
            chosen = dice.choices(found, worth, k=min(cuts_a_run, cuts - told["cuts"]))
            wanted = [
                Cut(run, number, count, state, str(dice.getrandbits(32)), tmp_path / f"cut-{number}")
                for number, (count, state) in enumerate(chosen, told["cuts"])
            ]
            told.update(runs=1, instants=len(found), states_beside_the_disk=len({state for _, state in found}))
            looked_at = [pool.submit(look_at, cut, original, check, options) for cut in wanted]
            try:
                for cut, end in zip(wanted, looked_at, strict=True):
                    ends[end.result()] += 1
                    told.update(cuts=1, pending=cut.pending, lost=cut.lost)
            except Exception:
                pool.shutdown(cancel_futures=True)
                raise
            shutil.rmtree(folder)
            print(f"{time.monotonic() - began:.0f} s: {dict(told)}, ends {dict(ends)}", flush=True)
    return ends
