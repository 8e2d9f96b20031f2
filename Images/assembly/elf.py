"""What the image needs to know of an ELF file: what it links, and which protections it was built with.

Only little-endian 64-bit files (gABI, ELFCLASS64) are read; anything else on this device is a mistake.
"""

import struct
from dataclasses import dataclass, field

MAGIC = b"\x7fELF"
MACHINE_AARCH64 = 183
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
PF_X, PF_W = 1, 2
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_BIND_NOW, DT_RUNPATH, DT_FLAGS, DT_FLAGS_1 = 1, 5, 14, 15, 24, 29, 30, 0x6FFFFFFB
DF_BIND_NOW, DF_1_NOW = 0x8, 0x1


LAZY_BINDING = "lazy binding, so RELRO is partial (no BIND_NOW)"


class ElfError(Exception):
    """One sentence that says why a file is not an ELF file that can be read."""


@dataclass
class Elf:
    """`needed` are sonames; `interpreter` is a path, or empty for a library or a static program."""

    machine: int
    kind: int
    interpreter: str = ""
    soname: str = ""
    needed: list = field(default_factory=list)
    search_paths: list = field(default_factory=list)
    has_dynamic: bool = False
    bind_now: bool = False
    has_relro: bool = False
    executable_stack: bool = True
    writable_code: bool = False

    def weaknesses(self):
        """Missing protections, one phrase each; none for a hardened file."""
        found = []
        if self.machine != MACHINE_AARCH64:
            found.append(f"built for machine {self.machine}, not for AArch64")
        if self.kind != ET_DYN:
            found.append("not position independent (PIE)")
        if not self.has_relro:
            found.append("no RELRO")
        if self.has_dynamic and not self.bind_now:
            found.append(LAZY_BINDING)
        if self.executable_stack:
            found.append("executable stack (no NX)")
        if self.writable_code:
            found.append("a segment that is writable and executable")
        if self.search_paths:
            found.append("a library search path of its own (RPATH): " + ":".join(self.search_paths))
        return found


def is_elf(data):
    return data[:4] == MAGIC


def _string(data, offset, name):
    end = data.find(b"\0", offset)
    if offset >= len(data) or end < 0:
        raise ElfError(f"{name}: a string at byte {offset} has no end")
    return data[offset:end].decode(errors="replace")


def parse(data, name):
    """Reads an ELF file's headers; `name` is what the error calls it."""
    if not is_elf(data):
        raise ElfError(f"{name} is not an ELF file")
    if data[4:6] != b"\x02\x01":
        raise ElfError(f"{name} is not a little-endian 64-bit ELF file")
    try:
        kind, machine = struct.unpack_from("<HH", data, 16)
        (table,) = struct.unpack_from("<Q", data, 32)
        entry_bytes, count = struct.unpack_from("<HH", data, 54)
        headers = [struct.unpack_from("<IIQQQQQQ", data, table + entry_bytes * i) for i in range(count)]
        elf = Elf(machine, kind)
        loads = [(virtual, offset, size) for kind_, _, offset, virtual, _, size, _, _ in headers if kind_ == PT_LOAD]
        for segment, flags, offset, _, _, size, _, _ in headers:
            if segment == PT_INTERP:
                elf.interpreter = _string(data, offset, name)
            elif segment == PT_GNU_STACK:
                elf.executable_stack = bool(flags & PF_X)
            elif segment == PT_GNU_RELRO:
                elf.has_relro = True
            elif segment == PT_LOAD:
                elf.writable_code |= (flags & (PF_X | PF_W)) == PF_X | PF_W
            elif segment == PT_DYNAMIC:
                _read_dynamic(elf, data, name, (offset, size), loads)
    except struct.error as error:
        raise ElfError(f"{name} is cut short or damaged") from error
    return elf


def _read_dynamic(elf, data, name, span, loads):
    elf.has_dynamic = True
    offset, size = span
    tags = [struct.unpack_from("<QQ", data, offset + 16 * i) for i in range(size // 16)]
    address = dict(tags).get(DT_STRTAB)
    strings = next((o + address - v for v, o, s in loads if address is not None and v <= address < v + s), None)
    for tag, value in tags:
        if tag == 0:
            break
        if tag in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH):
            if strings is None:
                raise ElfError(f"{name} has no string table for its dynamic section")
            text = _string(data, strings + value, name)
            if tag == DT_NEEDED:
                elf.needed.append(text)
            elif tag == DT_SONAME:
                elf.soname = text
            else:
                elf.search_paths.append(text)
        elif tag == DT_BIND_NOW or (tag == DT_FLAGS and value & DF_BIND_NOW) or (tag == DT_FLAGS_1 and value & DF_1_NOW):
            elf.bind_now = True


def closure(program, libraries, name):
    """Sonames that a program needs, directly or through its libraries, and its interpreter's file name.

    `libraries` maps a soname to its bytes; one that is missing is an error that says who needs it.
    """
    return _reach(program, libraries, name, follow_names=False)


def reached(program, libraries, name):
    """The closure, and besides the libraries of the folder that a reached file only names, to open them by itself (dlopen)."""
    return _reach(program, libraries, name, follow_names=True)


def _reach(program, libraries, name, follow_names):
    found, waiting = set(), [(name, program)]
    while waiting:
        user, data = waiting.pop()
        parsed = parse(data, user)
        wanted = list(parsed.needed)
        if parsed.interpreter:
            wanted.append(parsed.interpreter.rpartition("/")[2])
        if follow_names:
            wanted += [soname for soname in libraries if soname.encode() + b"\0" in data]
        for soname in wanted:
            if soname not in libraries:
                raise ElfError(f"{user} needs {soname}, which is not among the libraries")
            if soname not in found:
                found.add(soname)
                waiting.append((soname, libraries[soname]))
    return found
