"""The ruler's own logic: which way is better, who takes turns, what the table says."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench import readme, report  # noqa: E402
from bench.measurement import Measurement, alternate, measurement  # noqa: E402


class MeasurementTests(unittest.TestCase):
    def test_a_ratio_above_one_is_ahead_whichever_way_is_better(self):
        rate = Measurement("rate", "per second", "higher", {"Haechi": [200, 210, 190], "peer": [100]})
        cost = Measurement("cost", "µs", "lower", {"Haechi": [5], "peer": [10, 11, 9]})
        self.assertEqual(rate.ratio("Haechi", "peer"), 2)
        self.assertEqual(cost.ratio("Haechi", "peer"), 2)

    def test_nothing_is_compared_with_nothing(self):
        self.assertIsNone(Measurement("growth", "KB", "lower", {"Haechi": [0], "peer": [10]}).ratio("Haechi", "peer"))

    def test_another_direction_is_refused(self):
        with self.assertRaises(ValueError):
            Measurement("rate", "per second", "more", {})

    def test_a_record_gives_the_measurement_back(self):
        made = Measurement("rate", "per second", "higher", {"Haechi": [3, 1, 2]}, "a note")
        record = json.loads(json.dumps(made.record()))
        self.assertEqual(measurement(record), made)
        self.assertEqual(record["medians"], {"Haechi": 2})

    def test_contenders_take_turns_in_both_orders(self):
        seen = []
        samples = alternate(3, {"a": 1, "b": 2}, lambda name, value: seen.append(name) or value)
        self.assertEqual(seen, ["a", "b", "b", "a", "a", "b"])
        self.assertEqual(samples, {"a": [1, 1, 1], "b": [2, 2, 2]})


class ReportTests(unittest.TestCase):
    def test_the_table_shows_values_ratios_and_each_note_once(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            made = [Measurement(f"cost {number}", "µs", "lower", {"Haechi": [5], "peer": [10]}, "how it was measured") for number in (1, 2)]
            report.write(folder, "tls", "quick", made)
            report.table(folder, ["boot", "tls"])
            text = folder.joinpath("table.md").read_text(encoding="utf-8")
        self.assertIn("| cost 2 [1] | µs, less is better | Haechi 5 | peer 10 (2.00 ×) |", text)
        self.assertEqual(text.count("how it was measured"), 1)
        # A subject without results has no heading.
        self.assertNotIn("## boot", text)

    def test_the_readme_gets_its_table_between_the_marks_and_keeps_the_rest(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            made = [
                Measurement("full handshake, X25519", "per second", "higher", {"Haechi": [600], "before": [300], "Go": [1200], "limit": [5000]}),
                Measurement("of no interest to a reader of the README", "µs", "lower", {"Haechi": [1], "Go": [1]}),
            ]
            report.write(folder, "tls", "quick", made)
            report.write(folder, "vault", "full", [Measurement("put", "µs", "lower", {"Haechi": [1500], "SQLCipher": [3000]})])
            page = folder / "README.md"
            page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", encoding="utf-8")
            for _ in range(2):
                readme.write(page, folder)
            text = page.read_text(encoding="utf-8")
            page.write_text("no marks", encoding="utf-8")
            with self.assertRaises(SystemExit):
                readme.write(page, folder)
        self.assertTrue(text.startswith(f"before\n{readme.BEGIN}\n\n| what |") and text.endswith(f"\n{readme.END}\nafter\n"))
        self.assertIn("| full mutual handshakes and a request | 600 per second | Go 1,200 per second (0.50 ×) |", text)
        self.assertIn("| vault: put, durable | 1.5 ms | SQLCipher 3 ms (2.00 ×) |", text)
        self.assertNotIn("old", text)
        self.assertNotIn("no interest", text)
        # Two runs, and each says what is of it.
        self.assertRegex(text, r"tls: \d{4}-\d\d-\d\d, commit \S+, quick mode, .+")
        self.assertRegex(text, r"vault: \d{4}-\d\d-\d\d, commit \S+, full mode, .+")


if __name__ == "__main__":
    unittest.main()
