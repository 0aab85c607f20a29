"""The file of a bench: every finished search, so that a bench that was stopped goes on with what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nat_core.bench.play import Trace
from nat_core.bench.problems import Cell
from nat_core.durable import publish_text
from nat_core.errors import ConfigError, StateError

FORMAT = 1


class BenchFile:
    """The traces of finished cells, on the disk as soon as they are added."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._cells: dict[str, dict[str, Any]] = {}
        if file is not None:
            if file.is_dir() or not file.parent.is_dir():
                raise ConfigError(
                    f"{file} cannot be a file: {'it' if file.is_dir() else file.parent} is no place for one"
                )
            if file.exists():
                self._cells = _read(file)

    def find(self, cell: Cell) -> Trace | None:
        """What is known of a cell."""
        record = self._cells.get(cell.key)
        return None if record is None else _trace(record)

    def add(self, cell: Cell, trace: Trace) -> None:
        """Keep a finished cell."""
        self._cells[cell.key] = {"cell": str(cell), **_record(trace)}
        if self._file is not None:
            document = {"nat_bench": FORMAT, "cells": self._cells}
            publish_text(self._file, json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n")


def _record(trace: Trace) -> dict[str, Any]:
    rows = [None if row is None else list(row) for row in trace.objectives]
    return {"objectives": rows, "violation": list(trace.violation), "seconds": trace.seconds}


def _trace(record: Mapping[str, Any]) -> Trace:
    rows = tuple(None if row is None else tuple(map(float, row)) for row in record["objectives"])
    violation = tuple(float(v) for v, _ in zip(record["violation"], rows, strict=True))
    return Trace(rows, violation, float(record["seconds"]))


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """The cells of a file. Raises `StateError` for one that is damaged, or no bench."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["nat_bench"] != FORMAT:
            raise StateError(f"{file} was made by another version of nat (format {document['nat_bench']!r})")
        cells: dict[str, dict[str, Any]] = document["cells"]
        for record in cells.values():
            _trace(record)
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(
            f"{file} is no bench that could be gone on with ({type(error).__name__}: {error}). Nothing was changed: "
            "give another --out, or remove it"
        ) from error
    return cells
