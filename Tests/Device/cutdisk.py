"""A disk as it may be found after its power was cut: what was flushed is there, and of what was not any part may be.

QEMU that is killed leaves all that it wrote in the host's page cache, which is kinder than any disk. So its writes are recorded in order, with the
flushes between them (`Images/qemu --log-writes`), and the disk is put together anew from what it was before and a part of the record.
"""

import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path

# drivers/md/dm-log-writes.c of the kernel: a super block, then entries of a header in a sector of its own, and the data.
MAGIC, VERSION, SECTOR = 0x6A736677736872, 1, 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
# A discard is of whole partitions: it is torn in so many parts at most.
DISCARD_PARTS = 1024


@dataclass
class Entry:
    """Of the log, up to `end`: a flush, or a write of `size` bytes at `at`; without data it discards what was there."""

    end: int
    size: int = 0
    at: int = 0
    data: bytes | None = None
    is_durable: bool = False

    @property
    def is_flush(self) -> bool:
        return self.size == 0

    def put(self, disk: int):
        if self.data is None:
            clear(disk, self.at, self.size)
        else:
            os.pwrite(disk, self.data, self.at)

    def put_torn(self, disk: int, dice: random.Random):
        """Sectors are whole or not there; a write of many may be there in part."""
        grain = SECTOR if self.data is not None else max(SECTOR, self.size // DISCARD_PARTS // SECTOR * SECTOR)
        for offset in range(0, self.size, grain):
            if dice.random() < 0.5:
                continue
            if self.data is None:
                clear(disk, self.at + offset, min(grain, self.size - offset))
            else:
                os.pwrite(disk, self.data[offset : offset + grain], self.at + offset)


def clear(disk: int, at: int, size: int):
    """Zeros; what is a hole in the file stays one."""
    end = at + size
    while True:
        try:
            at = os.lseek(disk, at, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole up to the file's end.
            return
        if at >= end:
            return
        piece = min(end - at, 1 << 20)
        os.pwrite(disk, bytes(piece), at)
        at += piece


def entries(log: Path) -> list[Entry]:
    """The writes and flushes in their order. The last entry may have been cut, and is none then."""
    found: list[Entry] = []
    with open(log, "rb") as file:
        file.seek(0, 2)
        end = file.tell()
        file.seek(0)
        magic, version, _, sector = struct.unpack("<QQQI", file.read(28))
        # QEMU writes the super block with the first flush. Flash is never flushed.
        if (magic, version, sector) == (0, 0, 0):
            magic, version, sector = MAGIC, VERSION, SECTOR
        assert (magic, version) == (MAGIC, VERSION), f"{log} is no log of writes"
        at = sector
        while at + sector <= end:
            file.seek(at)
            start, count, flags, _ = struct.unpack("<QQQQ", file.read(32))
            at += sector
            if flags & ~(FLUSH | FUA | DISCARD | MARK) or (count == 0 and flags == 0):
                break
            size = count * sector
            if flags & FLUSH:
                found.append(Entry(at))
            if count and not flags & MARK:
                data = None
                if not flags & DISCARD:
                    if at + size > end:
                        break
                    file.seek(at)
                    data = file.read(size)
                found.append(Entry(at + (0 if data is None else size), size, start * sector, data, bool(flags & FUA)))
            at += 0 if flags & DISCARD else size
    return found


def unflushed(record: list[Entry]) -> list[int]:
    """After each entry, how many writes have not been flushed."""
    counts: list[int] = []
    for entry in record:
        counts.append(0 if entry.is_flush else (counts[-1] if counts else 0) + 1)
    return counts


def rebuild_flash(flash: Path, record: list[Entry], dice: random.Random):
    """The same for the flash with UEFI's variables: what was written is there, in its order, and the last write of all may be there in part."""
    file = os.open(flash, os.O_RDWR)
    try:
        for entry in record[:-1]:
            entry.put(file)
        for entry in record[-1:]:
            os.pwrite(file, entry.data[: dice.randint(0, entry.size)], entry.at)
    finally:
        os.close(file)


def rebuild(disk: Path, record: list[Entry], dice: random.Random) -> tuple[int, int]:
    """Makes `disk`, which is as it was when the log began, one that a cut after these entries may leave.

    Returns how many writes were not flushed, and how many of them were lost or torn.
    """
    flushed = max((number for number, entry in enumerate(record) if entry.is_flush), default=-1)
    pending = record[flushed + 1 :]
    lost = 0
    # Next to nothing is lost, or nearly all, or anything between.
    harm = dice.random()
    file = os.open(disk, os.O_RDWR)
    try:
        for entry in record[: flushed + 1]:
            entry.put(file)
        # A disk writes what it holds in any order.
        for entry in dice.sample(pending, len(pending)):
            fate = 1.0 if entry.is_durable else dice.random()
            if fate >= harm:
                entry.put(file)
                continue
            lost += 1
            if fate > harm * 2 / 3:
                entry.put_torn(file, dice)
    finally:
        os.close(file)
    return len(pending), lost
