"""The disk comparison's own logic: what a machine's words are read as."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench.boot_lab import LabError  # noqa: E402
from bench.disk import measured, wipe_s  # noqa: E402


class WordTests(unittest.TestCase):
    def test_each_line_is_a_sample_of_its_kind(self):
        text = "[ 1.0] kernel\r\nplain\twrite\t1000000\t500000000\r\nplain\twrite\t1000000\t1000000000\r\nAdiantum\tdurable\t64\t640000000\r\nend\r\n"
        found = measured(text)
        self.assertEqual(found, {("plain", "write"): [5e-7, 1e-6], ("Adiantum", "durable"): [0.01]})

    def test_a_machine_that_did_not_come_to_its_end_is_no_measurement(self):
        for text in ("", "plain\twrite\t1\t1\n", "plain\twrite\t1\t1\nfailed\n"):
            with self.assertRaises(LabError):
                measured(text)

    def test_a_wipe_is_timed_by_the_device_s_own_words(self):
        serial = "[   12.500000] notice supervisor: the device is released by its owner; the machine restarts\n"
        self.assertIsNone(wipe_s(serial))
        serial += "[   13.750000] info supervisor: shutdown wipe: done in 800 ms\n"
        self.assertEqual(wipe_s(serial), 1.25)


if __name__ == "__main__":
    unittest.main()
