"""The archive writer: the same bytes for the same files, readable by cpio(1), refusing what the kernel would unpack oddly."""

import shutil
import subprocess
import unittest

import context  # noqa: F401
from assembly import cpio

ENTRIES = [
    cpio.directory("etc"),
    cpio.regular("init", b"program", 0o755),
    cpio.regular("etc/a", b"abc"),
    cpio.symbolic_link("sh", "init"),
    cpio.directory("dev"),
    cpio.character_device("dev/console", 5, 1),
]


class Writer(unittest.TestCase):
    def test_order_of_entries_does_not_show(self):
        self.assertEqual(cpio.write(ENTRIES), cpio.write(reversed(ENTRIES)))

    def test_what_is_written_is_read_back(self):
        self.assertEqual(cpio.read(cpio.write(ENTRIES)), sorted(ENTRIES, key=lambda entry: entry.path))

    def test_time_and_owner_are_zero(self):
        # Fields of newc after the magic: ino mode uid gid nlink mtime.
        header = cpio.write([cpio.regular("init", b"")])[6 : 6 + 48].decode()
        fields = [int(header[i : i + 8], 16) for i in range(0, 48, 8)]
        self.assertEqual(fields, [1, 0o100644, 0, 0, 1, 0])

    @unittest.skipUnless(shutil.which("cpio"), "cpio is not installed")
    def test_cpio_lists_it(self):
        listing = subprocess.run(["cpio", "--list", "--quiet"], input=cpio.write(ENTRIES), stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(listing.decode().split(), ["dev", "dev/console", "etc", "etc/a", "init", "sh"])

    def test_refusals(self):
        for entries, sentence in (
            ([cpio.regular("a", b""), cpio.regular("a", b"")], "a is in the archive twice"),
            ([cpio.regular("/a", b"")], "/a is not a path below the root"),
            ([cpio.regular("../a", b"")], "../a is not a path below the root"),
            ([cpio.regular("etc/a", b"")], "etc/a lies in etc, which is not a folder of the archive"),
            ([cpio.regular("etc", b""), cpio.regular("etc/a", b"")], "etc/a lies in etc, which is not a folder of the archive"),
        ):
            with self.subTest(sentence), self.assertRaises(cpio.ArchiveError) as caught:
                cpio.write(entries)
            self.assertEqual(str(caught.exception), sentence)


class Reader(unittest.TestCase):
    def test_every_cut_is_an_error(self):
        archive = cpio.write(ENTRIES)
        trailer = archive.index(cpio.TRAILER.encode())
        for length in range(0, trailer):
            with self.assertRaises(cpio.ArchiveError):
                cpio.read(archive[:length])

    def test_a_size_that_is_no_number(self):
        archive = bytearray(cpio.write(ENTRIES))
        archive[54:62] = b"ZZZZZZZZ"
        with self.assertRaises(cpio.ArchiveError):
            cpio.read(bytes(archive))


if __name__ == "__main__":
    unittest.main()
