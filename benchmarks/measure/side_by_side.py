"""Rounds in which every contender takes its turn, and what they add up to.

The machine's speed drifts from minute to minute, so a ratio is taken within each round, between neighbours in time,
and the median of the rounds is quoted with its spread.
"""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some samples with their quartiles, and how many there were."""

    median: float
    low: float
    high: float
    samples: int

    def to_plain(self) -> dict[str, float | int]:
        """Plain values, good for JSON, to four significant digits."""
        return {
            "median": significant(self.median),
            "low": significant(self.low),
            "high": significant(self.high),
            "samples": self.samples,
        }


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles of `samples`, at least one."""
    if len(samples) == 1:
        return Spread(median=samples[0], low=samples[0], high=samples[0], samples=1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median=median, low=low, high=high, samples=len(samples))


def significant(value: float) -> float:
    """`value` to four significant digits."""
    return float(f"{value:.4g}")


def interleaved(contenders: Mapping[str, Callable[[], float]], *, rounds: int, seed: int = 1) -> dict[str, list[float]]:
    """What each contender measured in each round; in every round each takes one turn, in a new order."""
    order = list(contenders)
    shuffle = random.Random(seed).shuffle
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            samples[name].append(contenders[name]())
    return samples


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """`above` over `below`, round by round."""
    return spread([one / other for one, other in zip(above, below, strict=True)])


def fastest(rates: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Which of `names` has the highest median rate."""
    return max(names, key=lambda name: statistics.median(rates[name]))


def as_result(
    *, ratios: Mapping[str, Spread], aims: Mapping[str, str], figures: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The JSON object of a benchmark: bare numbers under `ratios`, everything else under `figures`."""
    return {
        "ratios": {name: significant(found.median) for name, found in ratios.items()},
        "figures": {
            **figures,
            "spread": {name: found.to_plain() for name, found in ratios.items()},
            "aims": dict(aims),
        },
    }


def ratio_lines(result: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The ratios as a readable table: median, quartiles, aim."""
    lines = [f"{'ratio':<28}{'median':>9}{'quartiles':>18}   aim"]
    for name, median in result["ratios"].items():
        found = result["figures"]["spread"][name]
        quartiles = f"{found['low']:.3g} to {found['high']:.3g}"
        lines.append(f"{name:<28}{median:>9.3g}{quartiles:>18}   {result['figures']['aims'][name]}")
    return lines
