"""The configuration check: a dropped option, a forced one and a contradiction are all seen."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from context import IMAGES
from kernel import kconfig


class Check(unittest.TestCase):
    def test_dropped_and_forced_options_are_listed(self):
        asked = kconfig.parse('CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\nCONFIG_E="x y"\n', "asked")
        got = kconfig.parse('CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_E="x"\n', "got")
        self.assertEqual(kconfig.dropped(asked, got), [("CONFIG_B", "y", "n"), ("CONFIG_C", "n", "y"), ("CONFIG_E", '"x y"', '"x"')])

    def test_the_program_fails_and_names_the_option(self):
        with tempfile.TemporaryDirectory() as folder:
            fragment, config = Path(folder, "fragment"), Path(folder, "config")
            fragment.write_text("CONFIG_A=y\nCONFIG_LOST=y\n")
            config.write_text("CONFIG_A=y\n")
            done = subprocess.run(
                [sys.executable, str(IMAGES / "kernel/kconfig.py"), "check", str(config), str(fragment)], stderr=subprocess.PIPE, text=True
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn("CONFIG_LOST: asked for y, got n", done.stderr)

    def test_a_symbol_has_one_place(self):
        with self.assertRaisesRegex(kconfig.ConfigError, "b: CONFIG_A is said in a too"):
            kconfig.merge([("a", "CONFIG_A=y\n"), ("b", "CONFIG_A=n\n")])
        with self.assertRaisesRegex(kconfig.ConfigError, "a:2: CONFIG_A is said twice"):
            kconfig.merge([("a", "CONFIG_A=y\n# CONFIG_A is not set\n")])

    def test_a_line_that_is_nothing_is_refused(self):
        with self.assertRaisesRegex(kconfig.ConfigError, "a:1: “CONFIG_A” is neither"):
            kconfig.parse("CONFIG_A\n", "a")


class Fragments(unittest.TestCase):
    def test_every_variant_joins_without_contradiction(self):
        for board in (p for p in (IMAGES / "boards").glob("*.config") if p.name.count(".") == 1):
            for variant in ("release", "debug"):
                paths = [IMAGES / "kernel/base.config", IMAGES / f"kernel/{variant}.config", board, board.with_suffix(f".{variant}.config")]
                with self.subTest(board=board.stem, variant=variant):
                    merged = kconfig.merge([(p.name, p.read_text()) for p in paths if p.exists()])
                    self.assertIn("CONFIG_CMDLINE", merged)
                    self.assertEqual(merged["CONFIG_CMDLINE_FORCE"], "y")
                    self.assertEqual(merged["CONFIG_TTY"], "n" if variant == "release" else "y")


if __name__ == "__main__":
    unittest.main()
