"""Disk images: a table and file systems that other tools read, the same bytes each time, and one sentence when something does not fit."""

import io
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import context  # noqa: F401
from assembly import disk

CONTENT = os.urandom(700_001)
SIZES = [("boot-a", disk.TYPE_EFI_SYSTEM, 40 * disk.MIB), ("ident", disk.TYPE_IDENT, 2 * disk.MIB), ("data", disk.TYPE_LUKS, 8 * disk.MIB)]
SLOTS = {"boot-a": ("EFI/BOOT/BOOTAA64.EFI", CONTENT)}
TIME_S = 1_700_000_000


def image():
    file = io.BytesIO()
    disk.write_image(file, SLOTS, SIZES, "seed", TIME_S)
    return file.getvalue()


class Table(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        partitions = disk.read_table(image()[: disk.MIB])
        self.assertEqual([(p.name, p.kind, p.size_bytes) for p in partitions], SIZES)
        self.assertEqual([p.first_byte for p in partitions], [disk.MIB, 41 * disk.MIB, 43 * disk.MIB])

    def test_the_same_inputs_give_the_same_bytes(self):
        self.assertEqual(image(), image())

    def test_a_changed_bit_is_seen(self):
        data = bytearray(image()[: disk.MIB])
        data[2 * disk.SECTOR_BYTES + 40] ^= 1
        with self.assertRaisesRegex(disk.DiskError, "checksum"):
            disk.read_table(bytes(data))
        with self.assertRaisesRegex(disk.DiskError, "no GUID partition table"):
            disk.read_table(bytes(disk.MIB))

    def test_sgdisk_finds_no_fault(self):
        sgdisk = shutil.which("sgdisk", path="/usr/sbin:/sbin:" + os.environ["PATH"])
        if not sgdisk:
            self.skipTest("sgdisk is not installed")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "disk.img")
            path.write_bytes(image())
            shown = subprocess.run([sgdisk, "--verify", "--print", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertIn("No problems found", shown.stdout)
        self.assertRegex(shown.stdout, r"EF00 +boot-a")
        self.assertRegex(shown.stdout, r"8309 +data")


class FileSystem(unittest.TestCase):
    def write(self, folder, content):
        path = Path(folder, "fat.img")
        with open(path, "wb") as file:
            file.truncate(40 * disk.MIB)
            for offset, data in disk.fat32_with_file("EFI/BOOT/BOOTAA64.EFI", content, 40 * disk.MIB, "boot-a", TIME_S):
                file.seek(offset)
                file.write(data)
        return path

    def test_other_tools_read_it(self):
        fsck = shutil.which("fsck.vfat", path="/usr/sbin:/sbin:" + os.environ["PATH"])
        if not fsck or not shutil.which("mcopy"):
            self.skipTest("dosfstools or mtools is not installed")
        for content in (b"x", CONTENT[:512], CONTENT[:513], CONTENT):
            with self.subTest(len(content)), tempfile.TemporaryDirectory() as folder:
                path = self.write(folder, content)
                checked = subprocess.run([fsck, "-n", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                self.assertEqual(checked.returncode, 0, checked.stdout)
                copied = Path(folder, "copy")
                subprocess.run(["mcopy", "-i", str(path), "::EFI/BOOT/BOOTAA64.EFI", str(copied)], check=True)
                self.assertEqual(copied.read_bytes(), content)

    def test_what_does_not_fit(self):
        for arguments, sentence in (
            (("A.EFI", bytes(41 * disk.MIB), 40 * disk.MIB, "boot-a", 0), "does not fit"),
            (("A.EFI", b"x", 20 * disk.MIB, "boot-a", 0), "too small for FAT32"),
            (("A.EFI", b"", 40 * disk.MIB, "boot-a", 0), "is empty"),
            (("firmware.efi", b"x", 40 * disk.MIB, "boot-a", 0), "not a short FAT name"),
        ):
            with self.subTest(sentence), self.assertRaisesRegex(disk.DiskError, sentence):
                disk.fat32_with_file(*arguments)
        with self.assertRaisesRegex(disk.DiskError, "partition x: 5 bytes"):
            disk.layout([("x", disk.TYPE_IDENT, 5)])


if __name__ == "__main__":
    unittest.main()
