"""Archives in cpio's "new ASCII" format, the one that the kernel unpacks as initramfs (Documentation/driver-api/early-userspace).

Written so that the same files give the same bytes: sorted by path, numbered in that order, time zero, owner root.
"""

import stat
from dataclasses import dataclass

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
HEADER_BYTES = 110


class ArchiveError(Exception):
    """One sentence that says what is wrong with an archive or an entry."""


@dataclass(frozen=True)
class Entry:
    """One file of an archive. `path` has no leading slash; `mode` holds type and permissions as in stat(2)."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple = (0, 0)
    uid: int = 0
    gid: int = 0

    @property
    def is_regular(self):
        return stat.S_ISREG(self.mode)


def directory(path, permissions=0o755):
    return Entry(path, stat.S_IFDIR | permissions)


def regular(path, data, permissions=0o644):
    return Entry(path, stat.S_IFREG | permissions, data)


def symbolic_link(path, target):
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path, major, minor, permissions=0o600):
    return Entry(path, stat.S_IFCHR | permissions, device=(major, minor))


def _record(number, entry):
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, entry.uid, entry.gid, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = MAGIC + b"".join(b"%08X" % field for field in fields) + name
    head += b"\0" * (-len(head) % 4)
    return head + entry.data + b"\0" * (-len(entry.data) % 4)


def write(entries):
    """The bytes of an archive with these entries; the parents of every entry must be among them."""
    by_path = {}
    for entry in entries:
        if entry.path in by_path:
            raise ArchiveError(f"{entry.path} is in the archive twice")
        if entry.path.startswith("/") or ".." in entry.path.split("/"):
            raise ArchiveError(f"{entry.path} is not a path below the root")
        by_path[entry.path] = entry
    for path in by_path:
        parent = path.rpartition("/")[0]
        if parent and not (parent in by_path and stat.S_ISDIR(by_path[parent].mode)):
            raise ArchiveError(f"{path} lies in {parent}, which is not a folder of the archive")
    records = [_record(number, by_path[path]) for number, path in enumerate(sorted(by_path), start=1)]
    return b"".join(records) + _record(0, Entry(TRAILER, 0))


def read(data):
    """The entries of an archive; what follows its trailer is not looked at."""
    entries, offset = [], 0
    while True:
        header = data[offset : offset + HEADER_BYTES]
        if len(header) < HEADER_BYTES or header[:6] != MAGIC:
            raise ArchiveError(f"no cpio header at byte {offset}")
        try:
            fields = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        except ValueError as error:
            raise ArchiveError(f"the cpio header at byte {offset} holds a field that is no number") from error
        name_bytes, size = fields[11], fields[6]
        name_start = offset + HEADER_BYTES
        data_start = (name_start + name_bytes + 3) & ~3
        end = data_start + size
        if name_bytes == 0 or end > len(data):
            raise ArchiveError(f"the cpio entry at byte {offset} is cut short")
        path = data[name_start : name_start + name_bytes - 1].decode(errors="replace")
        if path == TRAILER:
            return entries
        entries.append(Entry(path, fields[1], bytes(data[data_start:end]), (fields[9], fields[10]), fields[2], fields[3]))
        offset = (end + 3) & ~3
