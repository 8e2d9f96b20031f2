"""The ruler's own logic: which way is better, who takes turns, what the table says."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench import report  # noqa: E402
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


if __name__ == "__main__":
    unittest.main()
