"""The boot comparison's own logic: what a capture, a machine's words and an answer are read as."""

import pathlib
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench import boot_lab  # noqa: E402
from bench.boot import resident_bytes, used_bytes  # noqa: E402

MACHINE = bytes.fromhex(boot_lab.HARDWARE_ADDRESS.replace(":", ""))
CLIENT = bytes.fromhex("020000000001")
PUSH, ACKNOWLEDGE, END = 0x08, 0x10, 0x01


def segment(source, destination, flags, payload=b""):
    """An Ethernet frame with one TCP segment; the machine's is the one whose source is its port."""
    hardware = CLIENT + MACHINE if source == boot_lab.PORT else MACHINE + CLIENT
    internet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, bytes(4), bytes(4))
    return hardware + b"\x08\x00" + internet + struct.pack(">HHIIBBHHH", source, destination, 0, 0, 0x50, flags, 0, 0, 0) + payload


class CaptureTests(unittest.TestCase):
    def test_the_answer_is_the_last_payload_before_the_client_closes(self):
        frames = [
            (0.1, segment(1000, 8443, PUSH, b"hello")),
            (0.2, segment(8443, 1000, PUSH, b"server hello")),
            (0.3, segment(8443, 2000, PUSH, b"to somebody else")),
            (0.4, segment(8443, 1000, PUSH, b"answer")),
            (0.5, segment(8443, 1000, ACKNOWLEDGE)),
            (0.6, segment(1000, 8443, END)),
            (0.7, segment(8443, 1000, PUSH, b"good-bye")),
        ]
        self.assertEqual(boot_lab.answer_time_s(frames, 1000), 0.4)
        self.assertIsNone(boot_lab.answer_time_s(frames, 3000))

    def test_a_header_of_virtio_is_passed_over_whatever_its_size(self):
        for size in (0, 10, 12):
            self.assertEqual(boot_lab.answer_time_s([(1.5, bytes(size) + segment(8443, 1000, PUSH, b"answer"))], 1000), 1.5)

    def test_times_count_from_the_machine_s_own_date(self):
        with tempfile.TemporaryDirectory() as name:
            file = pathlib.Path(name) / "dump"
            file.write_bytes(bytes(24) + struct.pack("<IIII", 1_000_002, 250_000, 3, 3) + b"abc")
            self.assertEqual(boot_lab.packets(file, 1_000_000), [(2.25, b"abc")])


class MemoryTests(unittest.TestCase):
    def test_used_is_what_is_not_available(self):
        self.assertEqual(used_bytes("MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:   400 kB\n"), 600 * 1024)
        with self.assertRaises(boot_lab.LabError):
            used_bytes("MemTotal:  1000 kB\n")

    def test_a_server_tells_its_memory_in_pages_or_in_lines_that_are_added_up(self):
        self.assertEqual(resident_bytes("HTTP/1.1 200 OK\r\n\r\n307655 1457 1214 579 0 10217 0\nMemTotal: 1 kB"), 1457 * 4096)
        self.assertEqual(resident_bytes("VmRSS:\t 100 kB\nVmRSS:\t 20 kB\n"), 120 * 1024)
        with self.assertRaises(boot_lab.LabError):
            resident_bytes("nothing")


if __name__ == "__main__":
    unittest.main()
