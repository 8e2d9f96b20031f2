"""A disk as it may be found after its power was cut: what was flushed is there, and of what was not any part may be.

QEMU that is killed leaves all that it wrote in the host's page cache, which is kinder than any disk. So its writes are recorded in order, with the
flushes between them (`Images/qemu --log-writes`), and the disk is put together anew from what it was before and a part of the record.
"""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

# drivers/md/dm-log-writes.c of the kernel: a super block, then entries of a header in a sector of its own, and the data.
MAGIC, VERSION, SECTOR = 0x6A736677736872, 1, 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass
class Write:
    at: int
    data: bytes
    is_durable: bool


def entries(log: Path) -> list[Write | None]:
    """The writes in their order; None stands for a flush. The last entry may have been cut, and is none then."""
    found: list[Write | None] = []
    with open(log, "rb") as file:
        file.seek(0, 2)
        end = file.tell()
        file.seek(0)
        magic, version, _, sector = struct.unpack("<QQQI", file.read(28))
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
                found.append(None)
            if count and not flags & MARK:
                if not flags & DISCARD:
                    if at + size > end:
                        break
                    file.seek(at)
                data = bytes(size) if flags & DISCARD else file.read(size)
                found.append(Write(start * sector, data, bool(flags & FUA)))
            at += 0 if flags & DISCARD else size
    return found


def rebuild(disk: Path, log: Path, dice: random.Random) -> tuple[int, int]:
    """Makes `disk`, which is as it was when the log began, one that a cut at the log's end may leave.

    Returns how many writes were not flushed, and how many of them were lost or torn.
    """
    record = entries(log)
    flushed = max((number for number, entry in enumerate(record) if entry is None), default=-1)
    pending = [entry for entry in record[flushed + 1 :] if entry]
    lost = 0
    with open(disk, "r+b") as file:

        def put(at: int, data: bytes):
            file.seek(at)
            file.write(data)

        for entry in record[: flushed + 1]:
            if entry:
                put(entry.at, entry.data)
        # A disk writes what it holds in any order.
        for entry in dice.sample(pending, len(pending)):
            fate = 1.0 if entry.is_durable else dice.random()
            if fate < 0.4:
                lost += 1
            elif fate < 0.6:
                # Sectors are whole or not there; a write of many may be there in part.
                lost += 1
                for offset in range(0, len(entry.data), SECTOR):
                    if dice.random() < 0.5:
                        put(entry.at + offset, entry.data[offset : offset + SECTOR])
            else:
                put(entry.at, entry.data)
    return len(pending), lost
