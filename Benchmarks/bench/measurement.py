"""What a benchmark module gives: measurements, each with the samples of everybody who took part in the same run."""

import dataclasses
import statistics


@dataclasses.dataclass
class Measurement:
    """One quantity. `samples` maps who was measured to the samples of this run; the first key is Haechi."""

    name: str
    unit: str
    better: str  # "lower" or "higher"
    samples: dict
    note: str = ""

    def __post_init__(self):
        if self.better not in ("lower", "higher"):
            raise ValueError(f"{self.name}: better is lower or higher, not {self.better}")

    def median(self, who):
        return statistics.median(self.samples[who])

    def spread(self, who):
        """Half of the distance between the quartiles, as a part of the median."""
        values, middle = sorted(self.samples[who]), self.median(who)
        if len(values) < 3 or middle == 0:
            return 0.0
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return (high - low) / 2 / abs(middle)

    def ratio(self, who, peer):
        """How many times better `who` is than `peer`: 1 is parity, above is ahead, whichever way is better; None where one is 0."""
        mine, other = self.median(who), self.median(peer)
        if not mine or not other:
            return None
        return other / mine if self.better == "lower" else mine / other

    def record(self):
        return dataclasses.asdict(self) | {"medians": {who: self.median(who) for who in self.samples}}


def measurement(record):
    """The measurement that `record` (as in a results file) is of."""
    return Measurement(**{field.name: record[field.name] for field in dataclasses.fields(Measurement)})


def alternate(rounds, contenders, sample):
    """A B A B …: `sample(name, contender)` for each of `contenders` in turn, `rounds` times; the samples by name.

    Every second round goes backwards, so that nobody is always measured after the same neighbour."""
    samples = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in names:
            samples[name].append(sample(name, contenders[name]))
    return samples
