"""The verdicts as people read them: attempts down, layers across."""

from collections.abc import Sequence

from sim.guard.refusal import Layer
from sim.guard_matrix.judgement import Verdict

LEGEND = "1 stopped it, 2 stops it once 1 is knocked out, + stops it alone, - misses it, blank: not on its way"


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """Its lines, one per attempt, below the head and the legend."""
    rows = [("", "attempt", *(layer.value for layer in Layer), "")]
    rows += [_cells(one) for one in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [LEGEND, "", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)]


def _cells(one: Verdict) -> tuple[str, ...]:
    marks = tuple(_mark(one, layer) for layer in Layer)
    return one.attempt.row, one.attempt.name, *marks, "; ".join((*one.holes, *one.doubts))


def _mark(one: Verdict, layer: Layer) -> str:
    if layer not in one.alone:
        return ""
    if layer in (one.first, one.second):
        return "1" if layer is one.first else "2"
    return "+" if one.alone[layer] else "-"
