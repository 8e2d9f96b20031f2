"""zboot: the packed kernel, and what is refused of one."""

import random
import unittest

from context import make_zboot
from assembly import zboot

KERNEL = bytes(range(256)) * 64


class Unpack(unittest.TestCase):
    def test_the_kernel_comes_out_whole(self):
        self.assertTrue(zboot.is_zboot(make_zboot(KERNEL)))
        self.assertEqual(zboot.unpack(make_zboot(KERNEL)), KERNEL)

    def test_refusals_say_what_is_wrong(self):
        for firmware, sentence in (
            (b"MZ" + bytes(62), "the mark zimg is missing"),
            (make_zboot(KERNEL)[:20], "the mark zimg is missing"),
            (make_zboot(KERNEL, method=b"gzip"), "packed by 'gzip'"),
            (make_zboot(KERNEL, offset=8), "does not lie in the file"),
            (make_zboot(KERNEL, size=1 << 31), "does not lie in the file"),
            (make_zboot(KERNEL, size=0), "does not lie in the file"),
            (make_zboot(KERNEL)[:64] + b"no frame" * 20, "does not (unpack|lie)"),
        ):
            with self.subTest(sentence), self.assertRaisesRegex(zboot.ZbootError, sentence):
                zboot.unpack(firmware)

    def test_flipped_bytes_never_give_another_exception(self):
        dice = random.Random(7)
        whole = make_zboot(KERNEL)
        for _ in range(200):
            at = dice.randrange(len(whole))
            changed = whole[:at] + bytes([dice.randrange(256)]) + whole[at + 1 :]
            try:
                zboot.unpack(changed)
            except zboot.ZbootError:
                continue


if __name__ == "__main__":
    unittest.main()
