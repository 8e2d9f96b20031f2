"""Reads what a 64-bit little-endian ELF file says about its dynamic linking, and resolves what it needs."""

import dataclasses
import pathlib
import struct

from .console import ToolchainError

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_BIND_NOW, DT_RUNPATH, DT_FLAGS = 1, 5, 14, 15, 24, 29, 30
DT_FLAGS_1, DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFB, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 0x8, 0x1, 0x08000000
SHT_DYNSYM = 11
ET_DYN, EM_AARCH64 = 3, 183
STB_WEAK = 2


@dataclasses.dataclass
class Elf:
    """The facts of one file. `version_needs` holds (library, version); symbol sets hold names without versions."""

    path: pathlib.Path
    machine: int = 0
    is_position_independent: bool = False
    interpreter: str = ""
    needed: list = dataclasses.field(default_factory=list)
    soname: str = ""
    run_paths: list = dataclasses.field(default_factory=list)
    has_relro: bool = False
    binds_now: bool = False
    has_executable_stack: bool = False
    version_needs: set = dataclasses.field(default_factory=set)
    versions: set = dataclasses.field(default_factory=set)
    undefined: set = dataclasses.field(default_factory=set)
    defined: set = dataclasses.field(default_factory=set)


def read(path):
    """The facts of the ELF file at `path`."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ToolchainError(f"{path} is not a 64-bit little-endian ELF file.")
    try:
        return _read(pathlib.Path(path), data)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        raise ToolchainError(f"{path} is a damaged ELF file ({error}).") from error


def _read(path, data):
    header = struct.unpack_from("<HHIQQQIHHHHHH", data, 16)
    file_type, machine, program_offset, section_offset = header[0], header[1], header[4], header[5]
    elf = Elf(path, machine=machine, is_position_independent=file_type == ET_DYN)
    segments = [struct.unpack_from("<IIQQQQQQ", data, program_offset + index * header[8]) for index in range(header[9])]
    loads = [(segment[3], segment[2], segment[5]) for segment in segments if segment[0] == PT_LOAD]

    def file_offset(address):
        for start, offset, size in loads:
            if start <= address < start + size:
                return address - start + offset
        raise ValueError(f"address {address:#x} lies in no segment")

    def text(offset):
        return data[offset : data.index(b"\0", offset)].decode()

    dynamic = []
    for kind, flags, offset, _, _, size, _, _ in segments:
        if kind == PT_INTERP:
            elf.interpreter = data[offset : offset + size].rstrip(b"\0").decode()
        elif kind == PT_GNU_RELRO:
            elf.has_relro = True
        elif kind == PT_GNU_STACK:
            elf.has_executable_stack = bool(flags & 1)
        elif kind == PT_DYNAMIC:
            dynamic = [struct.unpack_from("<qQ", data, offset + index * 16) for index in range(size // 16)]
    values = {}
    for tag, value in dynamic:
        if tag == 0:
            break
        values.setdefault(tag, []).append(value)
    if not values:
        return elf
    strings = file_offset(values[DT_STRTAB][0])
    elf.needed = [text(strings + value) for value in values.get(DT_NEEDED, [])]
    elf.soname = text(strings + values[DT_SONAME][0]) if DT_SONAME in values else ""
    elf.run_paths = [text(strings + value) for tag in (DT_RPATH, DT_RUNPATH) for value in values.get(tag, [])]
    flags_1 = values.get(DT_FLAGS_1, [0])[0]
    elf.binds_now = DT_BIND_NOW in values or bool(values.get(DT_FLAGS, [0])[0] & DF_BIND_NOW) or bool(flags_1 & DF_1_NOW)
    if DT_VERNEED in values:
        _read_version_needs(elf, data, file_offset(values[DT_VERNEED][0]), values[DT_VERNEEDNUM][0], strings, text)
    if DT_VERDEF in values:
        _read_version_definitions(elf, data, file_offset(values[DT_VERDEF][0]), values[DT_VERDEFNUM][0], strings, text)
    for index in range(header[11]):
        section = struct.unpack_from("<IIQQQQIIQQ", data, section_offset + index * header[10])
        if section[1] == SHT_DYNSYM:
            _read_symbols(elf, data, section[4], section[5], strings, text)
    return elf


def _read_version_needs(elf, data, offset, count, strings, text):
    for _ in range(count):
        _, entries, library, first, following = struct.unpack_from("<HHIII", data, offset)
        entry = offset + first
        for _ in range(entries):
            _, flags, _, name, step = struct.unpack_from("<IHHII", data, entry)
            # A weak need (flag 2) may stay unmet: the dynamic linker only warns.
            if not flags & 2:
                elf.version_needs.add((text(strings + library), text(strings + name)))
            entry += step
        offset += following


def _read_version_definitions(elf, data, offset, count, strings, text):
    for _ in range(count):
        _, _, _, _, _, first, following = struct.unpack_from("<HHHHIII", data, offset)
        elf.versions.add(text(strings + struct.unpack_from("<I", data, offset + first)[0]))
        offset += following


def _read_symbols(elf, data, offset, size, strings, text):
    for position in range(offset + 24, offset + size, 24):
        name, info, _, section = struct.unpack_from("<IBBH", data, position)
        if section:
            elf.defined.add(text(strings + name))
        elif info >> 4 != STB_WEAK:
            elf.undefined.add(text(strings + name))


def resolve(executable, folders, extra=()):
    """Every shared library that the executable reaches through NEEDED, by the name it is asked for, and the interpreter.

    `extra` names libraries that the program loads by itself. Raises when a library is not in `folders`, is for another
    machine, or leaves a symbol or a symbol version unmet: the device would find out only when it starts."""
    program = read(executable)
    found = {}
    queue = [(name, program.path.name) for name in program.needed] + [(name, "the caller") for name in extra]
    if program.interpreter:
        queue.append((pathlib.PurePosixPath(program.interpreter).name, f"{program.path.name} (as its interpreter)"))
    while queue:
        name, wanted_by = queue.pop(0)
        if name in found:
            continue
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            raise ToolchainError(f"{name}, needed by {wanted_by}, is not in the sysroot; name its package in Toolchain/packages/sysroot.")
        library = read(path)
        if library.machine != program.machine:
            raise ToolchainError(f"{path} is for another machine than {program.path.name}.")
        found[name] = library
        queue += [(needed, name) for needed in library.needed]
    _check_complete(program, found)
    return found


def _check_complete(program, found):
    defined = set(program.defined).union(*(library.defined for library in found.values()))
    for elf in [program, *found.values()]:
        for library, version in sorted(elf.version_needs):
            if library in found and version not in found[library].versions:
                raise ToolchainError(
                    f"{elf.path.name} needs {version} of {library}, which the sysroot's {library} does not have; "
                    "the device's libraries are older than what it was built against."
                )
        unmet = sorted(elf.undefined - defined)
        if unmet:
            raise ToolchainError(f"{elf.path.name} leaves {len(unmet)} symbol(s) unresolved: {', '.join(unmet[:5])}.")
