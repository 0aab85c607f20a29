"""Runs beside each other on a terminal."""

from __future__ import annotations

from rich.table import Table

from nat_core.report.contents import Contents
from nat_core.report.terminal import number


def compare_table(contents: Contents) -> Table:
    """A row for each run, best hypervolume first; what is least in each objective."""
    names = [objective["name"] for objective in contents["objectives"]]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    shared = ["hypervolume"] if contents["shared"] else []
    for heading in (*shared, "measured", "failed", "front", *(f"least {name}" for name in names)):
        table.add_column(heading, justify="right")
    runs = contents["runs"]
    for run in sorted(runs, key=lambda r: -r["hypervolume"][-1]) if contents["shared"] else runs:
        volume = [f"{run['hypervolume'][-1]:.4f}"] if contents["shared"] else []
        least = [number(n, min(p["f"][i] for p in run["front"])) if run["front"] else "–" for i, n in enumerate(names)]
        counts = [f"{n:,}" for n in (run["measured"], run["failed"], len(run["front"]))]
        table.add_row(run["name"], *volume, *counts, *least)
    return table
