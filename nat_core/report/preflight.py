"""What is known before anything is trained, as tables and as JSON."""

from __future__ import annotations

import math
from io import StringIO
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from nat_core.feasibility import Preflight, said_share
from nat_core.problem import Constraint
from nat_core.report.summary import plain
from nat_core.report.terminal import number


def preflight_table(report: Preflight) -> RenderableType:
    """Every cost over the space; how much of the space each constraint leaves, and which one binds."""
    how = "smallest and largest are exact" if report.listed else "smallest and largest by descent"
    title = Text(f"Costs over the space ({report.rows:,} sampled architectures; {how})", style="bold")
    parts: list[RenderableType] = [title, _ranges(report)]
    if report.shares:
        parts += [Text(), _shares(report), *map(Text, _sentences(report))]
    parts += [Text(f"{c}: known once it is measured") for c in report.unknown]
    return Group(*parts)


def preflight_lines(report: Preflight, width: int = 100) -> list[str]:
    """The same as plain lines."""
    out = StringIO()
    Console(file=out, width=width, no_color=True).print(preflight_table(report), highlight=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def preflight_document(report: Preflight) -> dict[str, Any]:
    """Plain JSON values."""
    return {
        "rows": report.rows,
        "listed": report.listed,
        "costs": {
            r.name: {
                "smallest": _plain(r.smallest),
                "median": _plain(r.median),
                "largest": _plain(r.largest),
                **({"failure": r.failure} if r.failure else {}),
            }
            for r in report.ranges
        },
        "constraints": {str(s.constraint): {"alone": s.alone, "without": s.without} for s in report.shares},
        "together": report.together,
        "satisfiable": report.satisfiable,
        "binding": None if report.binding is None else str(report.binding),
        "nearest": [
            {"architecture": near.name, "costs": {n: _plain(y) for n, y in near.costs.items()}, "misses": near.misses}
            for near in report.nearest
        ],
        "unknown": [str(c) for c in report.unknown],
    }


def _ranges(report: Preflight) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("cost")
    for heading in ("smallest", "median", "largest"):
        table.add_column(heading, justify="right")
    for r in report.ranges:
        cells = ["–" if value is None else number(r.name, value) for value in (r.smallest, r.median, r.largest)]
        table.add_row(r.name, *cells, *([r.failure] if r.failure else []))
    return table


def _shares(report: Preflight) -> Table:
    several = len(report.shares) > 1
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("constraint")
    for heading in ("met by", *(["all others met by"] if several else [])):
        table.add_column(heading, justify="right")
    for s in report.shares:
        alone, without = (said_share(share, report.rows) for share in (s.alone, s.without))
        table.add_row(_constraint(s.constraint), alone, *([without] if several else []))
    if several:
        table.add_row("all together", said_share(report.together, report.rows))
    return table


def _sentences(report: Preflight) -> list[str]:
    said = []
    if report.binding is None:
        said.append("The constraints leave out nothing of what was sampled.")
    elif len(report.shares) > 1:
        said.append(f"{_constraint(report.binding)} binds: it leaves out most.")
    if not report.satisfiable:
        said.append("No architecture was found that meets them all. The nearest:")
        for near in report.nearest:
            costs = ", ".join(f"{name} {number(name, value)}" for name, value in near.costs.items())
            said.append(f"  {near.name} with {costs} misses {' and '.join(near.misses)}")
    return said


def _constraint(constraint: Constraint) -> str:
    return f"{constraint.name} {constraint.relation} {number(constraint.name, constraint.bound)}"


def _plain(value: float | None) -> float | int | None:
    return None if value is None or not math.isfinite(value) else plain(value)
