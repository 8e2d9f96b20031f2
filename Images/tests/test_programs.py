"""make-image and qemu, without a kernel: what they refuse, and what they hand to QEMU."""

import hashlib
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from context import IMAGES, load_program, make_elf

make_image = load_program("make-image")
qemu = load_program("qemu")


class MakeImage(unittest.TestCase):
    def refusal(self, *arguments):
        done = subprocess.run([sys.executable, str(IMAGES / "make-image"), *arguments], stderr=subprocess.PIPE, text=True)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_refused_arguments(self):
        for arguments, sentence in (
            (["--variant", "test"], "a test image needs --init"),
            (["--variant", "debug", "--board", "toaster"], "there is no Images/boards/toaster.config"),
            (["--variant", "debug", "--libs", "x"], "--libs goes with --init"),
            (["--variant", "release", "--init", "x", "--add", "a=b"], "--add is refused for a release image"),
            (["--variant", "release", "--product", "hostile"], "--product hostile attacks its own device"),
            (["--variant", "debug", "--init", "x", "--product", "hostile"], "--product hostile attacks its own device"),
        ):
            with self.subTest(arguments):
                self.assertIn(sentence, self.refusal(*arguments))

    def test_libraries_are_those_that_cross_build_described(self):
        data = make_elf(soname="libx.so.1")
        item = {
            "file": "libx.so.1",
            "sha256": hashlib.sha256(data).hexdigest(),
            "package": "libx1",
            "version": "1.2-3",
            "architecture": "arm64",
        }
        (part,) = make_image.library_parts({"libx.so.1": data}, {"libraries": [item]}, "libs.json")
        self.assertEqual(part.purl, "pkg:deb/debian/libx1@1.2-3?arch=arm64")
        self.assertEqual([file.path for file in part.files], ["lib/libx.so.1"])
        with self.assertRaisesRegex(make_image.ImageError, "libs.json does not describe libx.so.1"):
            make_image.library_parts({"libx.so.1": data}, {"libraries": []}, "libs.json")
        with self.assertRaisesRegex(make_image.ImageError, "describes another libx.so.1"):
            make_image.library_parts({"libx.so.1": data + b"x"}, {"libraries": [item]}, "libs.json")

    def test_a_library_of_a_ready_made_sdk_is_a_part_of_its_own(self):
        data = make_elf()
        item = {"file": "libx.so.1", "sha256": hashlib.sha256(data).hexdigest(), "package": None, "version": None, "architecture": None}
        (part,) = make_image.library_parts({"libx.so.1": data}, {"libraries": [item]}, "libs.json")
        self.assertEqual((part.name, part.ecosystem), ("libx.so.1", "generic"))


class Runner(unittest.TestCase):
    def command(self, *arguments):
        with tempfile.TemporaryDirectory() as name, mock.patch.object(sys, "argv", ["qemu", "--image", name, *arguments]):
            image = Path(name)
            for file in ("firmware.efi", "code.fd"):
                (image / file).write_bytes(b"")
            options, passed_on = qemu.parse_arguments()
            with mock.patch.object(qemu, "find", side_effect=lambda program, _: program), mock.patch("sys.stderr"):
                command = qemu.command_line(options, passed_on, image, image / "device", image / "scratch", "/tpm" if options.tpm else None)
            return " ".join(command).replace(name, "IMAGE")

    def test_release_boots_directly_in_its_budget(self):
        command = self.command("--variant", "release")
        for words in (
            "-M virt,acpi=off -cpu cortex-a53",
            "-m 96 ",
            "-device i6300esb -action watchdog=reset",
            "-kernel IMAGE/firmware.efi",
            "hostfwd=tcp:127.0.0.1:8443-:8443",
            "-chardev file,id=serial0,path=IMAGE/serial.log",
        ):
            self.assertIn(words, command)
        self.assertNotIn("pflash", command)
        self.assertNotIn("-append", command)

    def test_uefi_finds_the_firmware_on_the_disk(self):
        command = self.command("--boot", "uefi", "--tpm")
        for words in ("-m 128 ", "readonly=on,file=IMAGE/code.fd", "file=IMAGE/device/vars.fd", "tpm-tis-device"):
            self.assertIn(words, command)
        self.assertNotIn("-kernel", command)

    def test_debug_has_a_terminal_and_options_pass_on(self):
        command = self.command("--variant", "debug", "--mem", "300", "--net", "tap:haechi,0", "--cpu", "max", "--", "-trace", "x")
        for words in ("-m 300 ", "-chardev stdio,id=serial0", "ifname=haechi,,0,script=no", "-cpu max"):
            self.assertIn(words, command)
        self.assertTrue(command.endswith("-trace x"))

    def test_what_is_missing_is_named(self):
        with tempfile.TemporaryDirectory() as name:
            done = subprocess.run([sys.executable, str(IMAGES / "qemu"), "--image", name], stderr=subprocess.PIPE, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("firmware.efi is missing: make the image first (make image VARIANT=release)", done.stderr)


if __name__ == "__main__":
    unittest.main()
