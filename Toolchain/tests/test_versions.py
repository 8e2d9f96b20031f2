"""The order of versions and the choice of a matching pair."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from haechi_toolchain import versions  # noqa: E402
from haechi_toolchain.console import ToolchainError  # noqa: E402


class OrderTests(unittest.TestCase):
    # Each line is in ascending order; the examples of Debian Policy 5.6.12 are among them.
    LADDERS = (
        ("1.0~beta1~svn1245", "1.0~beta1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1"),
        ("~~", "~~a", "~", "", "a"),
        ("6.2.3-1", "6.2.3-1+b1", "6.2.3-1+b2", "6.2.3-1+b10", "6.2.3-2", "6.2.10-1", "6.3.0~rc1-1", "6.3.0-1"),
        ("9", "10", "1:0.1", "1:1", "2:0"),
        ("1.2", "1.2a", "1.2+dfsg"),
        ("0.5.12-9", "0.5.12-12"),
    )

    def test_ladders(self):
        for ladder in self.LADDERS:
            for low in range(len(ladder)):
                for high in range(len(ladder)):
                    with self.subTest(left=ladder[low], right=ladder[high]):
                        self.assertEqual(versions.compare(ladder[low], ladder[high]), (low > high) - (low < high))

    def test_leading_zeros_do_not_count(self):
        self.assertEqual(versions.compare("1.02-1", "1.2-1"), 0)

    def test_newest(self):
        self.assertEqual(versions.newest(["6.2.9-1", "6.2.10-1", "6.2.3-1"]), "6.2.10-1")
        self.assertIsNone(versions.newest([]))

    def test_a_rebuild_has_the_same_source(self):
        self.assertEqual(versions.source_version("6.2.3-1+b12"), "6.2.3-1")
        self.assertEqual(versions.source_version("1.2+dfsg-3"), "1.2+dfsg-3")


class PairTests(unittest.TestCase):
    def choose(self, expected, compilers, libraries):
        return versions.choose_pair("swiftlang", expected, compilers, libraries)

    def test_the_expected_version_is_taken_silently(self):
        pair = self.choose("6.2.3-1", ["6.2.3-1", "6.3.0-1"], ["6.3.0-1", "6.2.3-1"])
        self.assertEqual((pair.compiler, pair.libraries, pair.note), ("6.2.3-1", "6.2.3-1", ""))

    def test_a_rebuild_of_one_architecture_still_matches(self):
        pair = self.choose("6.2.3-1+b1", ["6.2.3-1+b2"], ["6.2.3-1"])
        self.assertEqual((pair.compiler, pair.libraries, pair.note), ("6.2.3-1+b2", "6.2.3-1", ""))

    def test_the_newest_rebuild_is_taken(self):
        pair = self.choose("6.2.3-1", ["6.2.3-1+b2", "6.2.3-1+b10", "6.2.3-1"], ["6.2.3-1"])
        self.assertEqual(pair.compiler, "6.2.3-1+b10")

    def test_a_newer_pair_is_taken_and_both_versions_are_named(self):
        pair = self.choose("6.2.3-1+b1", ["6.2.4-1"], ["6.2.4-1+b1"])
        self.assertEqual((pair.compiler, pair.libraries), ("6.2.4-1", "6.2.4-1+b1"))
        for text in ("6.2.3-1+b1", "6.2.4-1", "6.2.4-1+b1"):
            self.assertIn(text, pair.note)

    def test_the_newest_common_version_wins_over_a_newer_lone_one(self):
        pair = self.choose("6.2.3-1", ["6.2.4-1", "6.3.0-1"], ["6.2.4-1"])
        self.assertEqual((pair.compiler, pair.libraries), ("6.2.4-1", "6.2.4-1"))

    def test_no_common_version_names_both(self):
        with self.assertRaises(ToolchainError) as caught:
            self.choose("6.2.3-1", ["6.3.0-1"], ["6.2.3-1"])
        self.assertIn("6.3.0-1 for amd64", str(caught.exception))
        self.assertIn("6.2.3-1 for arm64", str(caught.exception))

    def test_only_an_older_common_version_is_refused(self):
        with self.assertRaisesRegex(ToolchainError, "older 6.2.2-1"):
            self.choose("6.2.3-1", ["6.2.2-1"], ["6.2.2-1"])

    def test_a_missing_architecture_is_named(self):
        with self.assertRaisesRegex(ToolchainError, "no swiftlang for arm64"):
            self.choose("6.2.3-1", ["6.2.3-1"], [])
        with self.assertRaisesRegex(ToolchainError, "no swiftlang for amd64"):
            self.choose("6.2.3-1", [], ["6.2.3-1"])


class ExpectedVersionsTests(unittest.TestCase):
    def test_comments_and_empty_lines_are_skipped(self):
        self.assertEqual(versions.read_expected("# a\n\nsid swiftlang 6.2.3-1 # b\n"), {("sid", "swiftlang"): "6.2.3-1"})

    def test_a_bad_line_is_named(self):
        with self.assertRaisesRegex(ToolchainError, "line 2"):
            versions.read_expected("sid swiftlang 6.2.3-1\nsid swiftlang\n")

    def test_the_committed_file_is_readable(self):
        text = (pathlib.Path(versions.__file__).parent.parent / "versions").read_text(encoding="utf-8")
        self.assertIn(("sid", "swiftlang"), versions.read_expected(text))


if __name__ == "__main__":
    unittest.main()
