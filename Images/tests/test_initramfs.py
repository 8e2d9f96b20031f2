"""What goes into an image: exactly what /init leads to, and one sentence about everything else."""

import unittest

from context import make_elf
from assembly import cpio, elf, initramfs

LOADER = "ld-linux-aarch64.so.1"
LIBRARIES = {
    "libc.so.6": make_elf(needed=[LOADER], soname="libc.so.6"),
    LOADER: make_elf(soname=LOADER),
    "libssl.so.3": make_elf(needed=["libcrypto.so.3", "libc.so.6"], soname="libssl.so.3"),
    "libcrypto.so.3": make_elf(needed=["libc.so.6"], soname="libcrypto.so.3"),
}
SEAL = [("etc/haechi/seal", b"HAECHI-SEAL-AUTH")]
PROGRAM = make_elf(needed=["libssl.so.3", "libc.so.6"], interpreter=initramfs.INTERPRETER)


class Libraries(unittest.TestCase):
    def test_the_closure_is_found(self):
        self.assertEqual(elf.closure(PROGRAM, LIBRARIES, "init"), set(LIBRARIES))
        self.assertEqual(initramfs.linked_libraries(PROGRAM, LIBRARIES), LIBRARIES)

    def test_a_library_that_is_only_named_may_come_too(self):
        opened = dict(LIBRARIES, **{"libtss2-tcti-device.so.0": make_elf(needed=["libc.so.6"])})
        program = make_elf(needed=["libssl.so.3"], interpreter=initramfs.INTERPRETER, extra=b"libtss2-tcti-device.so.0\0")
        self.assertEqual(initramfs.linked_libraries(program, opened), opened)

    def test_refusals(self):
        missing = {name: data for name, data in LIBRARIES.items() if name != "libcrypto.so.3"}
        for program, libraries, sentence in (
            (PROGRAM, missing, "libssl.so.3 needs libcrypto.so.3, which is not among the libraries"),
            (PROGRAM, dict(LIBRARIES, **{"libextra.so.1": make_elf()}), "nothing links or names libextra.so.1"),
            (make_elf(machine=62), {}, "init is not an AArch64 program"),
            (make_elf(interpreter="/lib64/ld.so"), {}, "init names the interpreter /lib64/ld.so"),
            (b"#!/bin/sh\n", {}, "init is not an ELF file"),
            (PROGRAM[:200], LIBRARIES, "init is cut short or damaged"),
        ):
            with self.subTest(sentence), self.assertRaisesRegex(initramfs.InitramfsError, sentence):
                initramfs.linked_libraries(program, libraries)


class Entries(unittest.TestCase):
    def test_a_release_image_holds_nothing_else(self):
        entries = initramfs.entries(PROGRAM, LIBRARIES, b"version=1\n", b"certificate", b"HAECHIFS", SEAL)
        cpio.write(entries)
        self.assertEqual(
            sorted(entry.path for entry in entries if entry.is_regular),
            sorted(
                [
                    "init",
                    "etc/haechi/build",
                    "etc/haechi/maker-ca.der",
                    "etc/haechi/seal",
                    "etc/haechi/volume",
                    *(f"lib/{name}" for name in LIBRARIES),
                ]
            ),
        )

    def test_a_debug_image_has_a_shell_and_additions(self):
        entries = initramfs.entries(PROGRAM, {}, b"", b"", b"", SEAL, shell=b"busybox", additions=[("opt/tests/run", b"x")])
        paths = {entry.path for entry in cpio.read(cpio.write(entries))}
        self.assertLessEqual({"bin/sh", "bin/busybox", "dev/console", "opt", "opt/tests", "opt/tests/run"}, paths)

    def test_build_values(self):
        self.assertEqual(initramfs.build_text({"version": "1.0", "build_time_s": 5}), b"version=1.0\nbuild_time_s=5\n")
        with self.assertRaisesRegex(initramfs.InitramfsError, "the build value version"):
            initramfs.build_text({"version": "1\nvariant=debug"})


if __name__ == "__main__":
    unittest.main()
