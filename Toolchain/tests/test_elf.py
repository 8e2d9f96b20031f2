"""What is read from ELF files, and how NEEDED is resolved. The files are written here, byte by byte."""

import pathlib
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from haechi_toolchain import build, elf  # noqa: E402
from haechi_toolchain.console import ToolchainError  # noqa: E402


def make_elf(
    needed=(),
    soname="",
    interpreter="",
    defined=(),
    undefined=(),
    weak=(),
    needs=(),
    versions=(),
    run_path="",
    machine=elf.EM_AARCH64,
    relro=True,
    now=True,
    executable_stack=False,
):
    """A shared object that holds headers, a dynamic section and symbols, and no code. Addresses equal file offsets."""
    strings = bytearray(b"\0")

    def name(text):
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    symbols = bytes(24)
    for group, info, section in ((defined, 0x12, 1), (undefined, 0x12, 0), (weak, 0x22, 0)):
        for symbol in group:
            symbols += struct.pack("<IBBHQQ", name(symbol), info, 0, section, 0, 0)
    version_needs = b""
    for index, (library, version) in enumerate(needs):
        following = 32 if index + 1 < len(needs) else 0
        version_needs += struct.pack("<HHIII", 1, 1, name(library), 16, following)
        version_needs += struct.pack("<IHHII", 0, 0, 2 + index, name(version), 0)
    definitions = b""
    for index, version in enumerate(versions):
        following = 28 if index + 1 < len(versions) else 0
        definitions += struct.pack("<HHHHIII", 1, 0, index + 1, 1, 0, 20, following) + struct.pack("<II", name(version), 0)
    tags = [(elf.DT_NEEDED, name(library)) for library in needed]
    if soname:
        tags.append((elf.DT_SONAME, name(soname)))
    if run_path:
        tags.append((elf.DT_RUNPATH, name(run_path)))
    if now:
        tags.append((elf.DT_FLAGS, elf.DF_BIND_NOW))

    segment_count = 3 + bool(interpreter) + bool(relro)
    interpreter_bytes = interpreter.encode() + b"\0" if interpreter else b""
    offset = 64 + 56 * segment_count
    places = {}
    for key, blob in (
        ("interpreter", interpreter_bytes),
        ("strings", bytes(strings)),
        ("symbols", symbols),
        ("needs", version_needs),
        ("versions", definitions),
    ):
        offset = (offset + 7) // 8 * 8
        places[key] = (offset, blob)
        offset += len(blob)
    tags.append((elf.DT_STRTAB, places["strings"][0]))
    if version_needs:
        tags += [(elf.DT_VERNEED, places["needs"][0]), (elf.DT_VERNEEDNUM, len(needs))]
    if definitions:
        tags += [(elf.DT_VERDEF, places["versions"][0]), (elf.DT_VERDEFNUM, len(versions))]
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in [*tags, (0, 0)])
    offset = (offset + 7) // 8 * 8
    places["dynamic"] = (offset, dynamic)
    sections = (offset + len(dynamic) + 7) // 8 * 8
    symbols_at = places["symbols"][0]
    section_headers = bytes(64) + struct.pack("<IIQQQQIIQQ", 0, elf.SHT_DYNSYM, 2, symbols_at, symbols_at, len(symbols), 0, 1, 8, 24)
    total = sections + len(section_headers)

    def segment(kind, place, size, flags=4):
        return struct.pack("<IIQQQQQQ", kind, flags, place, place, place, size, size, 8)

    headers = segment(elf.PT_LOAD, 0, total) + segment(elf.PT_DYNAMIC, places["dynamic"][0], len(dynamic))
    headers += segment(elf.PT_GNU_STACK, 0, 0, 7 if executable_stack else 6)
    if interpreter:
        headers += segment(elf.PT_INTERP, places["interpreter"][0], len(interpreter_bytes))
    if relro:
        headers += segment(elf.PT_GNU_RELRO, places["dynamic"][0], len(dynamic))
    image = bytearray(total)
    image[:16] = b"\x7fELF\x02\x01\x01" + bytes(9)
    struct.pack_into("<HHIQQQIHHHHHH", image, 16, elf.ET_DYN, machine, 1, 0, 64, sections, 0, 64, 56, segment_count, 64, 2, 0)
    image[64 : 64 + len(headers)] = headers
    for place, blob in places.values():
        image[place : place + len(blob)] = blob
    image[sections:] = section_headers
    return bytes(image)


class Files(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.folder = pathlib.Path(self._temporary.name)
        (self.folder / "lib").mkdir()

    def write(self, name, **facts):
        path = self.folder / name
        path.write_bytes(make_elf(**facts))
        return path


class ReadTests(Files):
    def test_facts(self):
        found = elf.read(
            self.write(
                "a",
                needed=("libb.so.1", "libc.so.6"),
                soname="liba.so.1",
                interpreter="/lib/ld.so.1",
                defined=("here",),
                undefined=("there",),
                weak=("perhaps",),
                needs=(("libc.so.6", "GLIBC_2.17"), ("libb.so.1", "B_1")),
                versions=("A_1", "A_2"),
            )
        )
        self.assertEqual(found.needed, ["libb.so.1", "libc.so.6"])
        self.assertEqual((found.soname, found.interpreter), ("liba.so.1", "/lib/ld.so.1"))
        self.assertEqual((found.defined, found.undefined), ({"here"}, {"there"}))
        self.assertEqual(found.version_needs, {("libc.so.6", "GLIBC_2.17"), ("libb.so.1", "B_1")})
        self.assertEqual(found.versions, {"A_1", "A_2"})
        self.assertTrue(found.has_relro and found.binds_now and found.is_position_independent)
        self.assertFalse(found.has_executable_stack)

    def test_what_is_not_elf_is_refused(self):
        path = self.folder / "text"
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        with self.assertRaisesRegex(ToolchainError, "not a 64-bit little-endian ELF"):
            elf.read(path)

    def test_every_truncation_is_refused_or_read_and_never_crashes(self):
        whole = make_elf(needed=("libb.so.1",), interpreter="/lib/ld.so.1", undefined=("there",), needs=(("libb.so.1", "B_1"),))
        path = self.folder / "cut"
        refused = 0
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            try:
                elf.read(path)
            except ToolchainError:
                refused += 1
        self.assertEqual(refused, len(whole))


class ResolveTests(Files):
    def resolve(self, program, extra=()):
        return elf.resolve(program, [self.folder / "lib", self.folder / "second"], extra)

    def test_needed_is_followed_to_the_end_and_round_a_circle(self):
        program = self.write("program", needed=("liba.so.1",), interpreter="/lib/ld.so.1")
        self.write("lib/liba.so.1", needed=("libb.so.1",))
        self.write("lib/libb.so.1", needed=("liba.so.1",))
        self.write("lib/ld.so.1")
        self.write("lib/libunused.so.1")
        self.assertEqual(sorted(self.resolve(program)), ["ld.so.1", "liba.so.1", "libb.so.1"])

    def test_the_first_folder_wins(self):
        (self.folder / "second").mkdir()
        program = self.write("program", needed=("liba.so.1",))
        first = self.write("lib/liba.so.1")
        self.write("second/liba.so.1")
        self.assertEqual(self.resolve(program)["liba.so.1"].path, first)

    def test_what_the_program_loads_by_itself_is_added(self):
        program = self.write("program")
        self.write("lib/libplugin.so.1", needed=("liba.so.1",))
        self.write("lib/liba.so.1")
        self.assertEqual(sorted(self.resolve(program, ["libplugin.so.1"])), ["liba.so.1", "libplugin.so.1"])

    def test_a_missing_library_names_who_needs_it(self):
        program = self.write("program", needed=("liba.so.1",))
        self.write("lib/liba.so.1", needed=("libgone.so.7",))
        with self.assertRaisesRegex(ToolchainError, "libgone.so.7, needed by liba.so.1"):
            self.resolve(program)

    def test_a_library_for_another_machine_is_refused(self):
        program = self.write("program", needed=("liba.so.1",))
        self.write("lib/liba.so.1", machine=62)
        with self.assertRaisesRegex(ToolchainError, "for another machine"):
            self.resolve(program)

    def test_an_unmet_symbol_is_named(self):
        program = self.write("program", needed=("liba.so.1",), undefined=("met", "unmet"), weak=("optional",))
        self.write("lib/liba.so.1", defined=("met",))
        with self.assertRaisesRegex(ToolchainError, r"program leaves 1 symbol\(s\) unresolved: unmet"):
            self.resolve(program)

    def test_a_library_may_use_what_the_program_defines(self):
        program = self.write("program", needed=("liba.so.1",), defined=("callback",))
        self.write("lib/liba.so.1", undefined=("callback",))
        self.assertEqual(list(self.resolve(program)), ["liba.so.1"])

    def test_an_unmet_version_is_named(self):
        program = self.write("program", needed=("libc.so.6",), needs=(("libc.so.6", "GLIBC_2.43"),))
        self.write("lib/libc.so.6", versions=("GLIBC_2.17", "GLIBC_2.41"))
        with self.assertRaisesRegex(ToolchainError, "GLIBC_2.43 of libc.so.6"):
            self.resolve(program)
        self.write("lib/libc.so.6", versions=("GLIBC_2.43",))
        self.assertEqual(list(self.resolve(program)), ["libc.so.6"])


class HardeningTests(Files):
    def test_a_hardened_program_passes(self):
        build.check_hardened(elf.read(self.write("good")))

    def test_each_weakness_is_named(self):
        for facts, text in (
            ({"relro": False}, "read-only relocation"),
            ({"now": False}, "binding at start"),
            ({"executable_stack": True}, "stack"),
            ({"run_path": "/sdk"}, "search path"),
            ({"machine": 62}, "AArch64"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ToolchainError, text):
                build.check_hardened(elf.read(self.write("bad", **facts)))


if __name__ == "__main__":
    unittest.main()
