"""The empty file system in an image: complete, as e2fsprogs itself says, and the same each time."""

import re
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from context import IMAGES  # noqa: F401 - it also makes Images/ a place to import from
from assembly import volume


def unpack(template):
    """The file system that a device writes."""
    magic, block_bytes, count, given = struct.unpack(">8sIII", template[:20])
    assert magic == volume.MAGIC
    image = bytearray(block_bytes * count)
    for at in range(20, len(template), 4 + block_bytes):
        (number,) = struct.unpack(">I", template[at : at + 4])
        image[number * block_bytes : (number + 1) * block_bytes] = template[at + 4 : at + 4 + block_bytes]
        given -= 1
    assert given == 0
    return bytes(image)


class Template(unittest.TestCase):
    def test_it_is_a_clean_file_system_and_small(self):
        template = volume.make(1_700_000_000)
        self.assertLess(len(template), 128 * 1024)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "volume"
            file.write_bytes(unpack(template))
            done = subprocess.run(["/sbin/e2fsck", "-fn", str(file)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            facts = subprocess.run(["/sbin/dumpe2fs", "-h", str(file)], capture_output=True, text=True, check=True).stdout
        self.assertRegex(facts, r"Inode size:\s+256")
        # Room for root's own files; of the first group's 32,768 blocks it must still be whole percents, as the kernel goes on with those.
        reserved = int(re.search(r"Reserved block count:\s+(\d+)", facts)[1])
        self.assertEqual(reserved * 100 // 32_768, 3)
        for feature in ("has_journal", "metadata_csum", "64bit", "resize_inode"):
            self.assertIn(feature, facts)

    def test_the_same_time_gives_the_same_bytes(self):
        self.assertEqual(volume.make(1_700_000_000), volume.make(1_700_000_000))
        self.assertNotEqual(volume.make(1_700_000_000), volume.make(1_700_000_001))

    def test_refusals(self):
        with self.assertRaisesRegex(volume.VolumeError, "not a whole number of blocks"):
            volume.sparse(b"x")
        with self.assertRaisesRegex(volume.VolumeError, "install the package e2fsprogs"):
            volume.make(0, program="mke2fs-that-is-not-there")
        with self.assertRaisesRegex(volume.VolumeError, "failed"):
            volume.make(0, program="false")


if __name__ == "__main__":
    unittest.main()
