"""What stands in a page, as plain JSON values: of one run, or of several beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nat_core.archive import Evaluation
from nat_core.errors import ConfigError
from nat_core.report.choice import because
from nat_core.report.drawing import Block, draw, shares
from nat_core.report.story import Story, cleaned, is_secret, medians, shared_reference
from nat_core.report.summary import feasible, ordered, plain
from nat_core.report.words import label, unit

Contents = dict[str, Any]

_MOST_LINES = 60  # networks followed over the versions of the weights: more are a blur
_MOST_NAMES = 50  # architectures named for one reason of failure
_MOST_POINTS = 400  # of the cloud behind a front in a comparison


def run_contents(story: Story) -> Contents:
    """A run: points, front, knee, what came of it by iteration, failures and provenance."""
    archive = story.archive.measured
    front = ordered(archive.front)
    place = {e.architecture: i for i, e in enumerate(archive)}
    drawings = [draw(story.space, e.architecture) for e in archive]
    blocks = dict.fromkeys(b for d in drawings for stage in d.stages for b in stage)
    number = {block: i for i, block in enumerate(blocks)}
    points = [
        {
            **_point(story, e),
            "drawn": [[number[b] for b in stage] for stage in drawing.stages],
            "facts": [list(fact) for fact in drawing.facts],
        }
        for e, drawing in zip(archive, drawings, strict=True)
    ]
    on_front = [place[e.architecture] for e in front]
    words = [str(choice) for v in story.space.variables for choice in v.choices]
    return {
        "kind": "run",
        "name": story.name,
        "subject": story.subject,
        "finished": story.finished,
        "feasible": feasible(archive),
        "measured": story.summaries[-1].architectures,
        "planned": story.config.search.iterations,
        "objectives": [_objective(story, name) for name in story.names],
        "points": points,
        "front": on_front,
        "blocks": [_block(block) for block in blocks],
        "knee": _knee(story, place),
        "iterations": _iterations(story),
        "hypervolume_method": story.summaries[-1].hypervolume_method,
        "predictions": _predictions(story, place),
        "training": _training(story),
        "adaptation": _adaptation(story),
        "choices": [asdict(s) for s in shares(drawings, [drawings[i] for i in on_front], words)],
        "failures": [
            {"reason": reason, "count": len(names), "architectures": names[:_MOST_NAMES]}
            for reason, names in story.failures
        ],
        "provenance": _provenance(story),
    }


def compare_contents(stories: Sequence[Story]) -> Contents:
    """Several runs: their fronts in the objectives that all have, and hypervolumes with one reference point.

    Raises `ConfigError` where the runs share fewer than two objectives.
    """
    names = [n for n in stories[0].names if all(n in s.names for s in stories)]
    if len(names) < 2:
        each = "; ".join(f"{s.name} has {', '.join(s.names)}" for s in stories)
        raise ConfigError(f"runs can be compared in two objectives at least that all of them have: {each}")
    same = all(s.names == stories[0].names for s in stories)
    reference = shared_reference(stories) if same else None
    titles = _distinct([s.name for s in stories])
    settings = [_settings(s) for s in stories]
    differing = [k for k in dict.fromkeys(k for s in settings for k in s) if len({s.get(k) for s in settings}) > 1]
    return {
        "kind": "compare",
        "name": " and ".join(titles),
        "objectives": [_objective(stories[0], n) for n in names],
        "runs": [_compared(story, title, names, reference) for story, title in zip(stories, titles, strict=True)],
        "shared": reference is not None,
        "settings": [[key, [s.get(key, "") for s in settings]] for key in differing],
    }


def _compared(story: Story, title: str, names: Sequence[str], reference: Any) -> Contents:
    columns = [story.names.index(n) for n in names]
    archive = story.archive.measured
    cloud = archive.evaluations[:: max(len(archive) // _MOST_POINTS, 1)]
    knee = story.knee
    return {
        "name": title,
        "subject": story.subject,
        "finished": story.finished,
        "measured": story.summaries[-1].architectures,
        "failed": sum(len(names) for _, names in story.failures),
        "seconds": round(sum(sum(row.values()) for row in story.seconds), 1),
        "cloud": [_row(e, columns) for e in cloud],
        "front": [{"name": story.text(e.architecture), "f": _row(e, columns)} for e in ordered(archive.front)],
        "knee": None if knee is None else story.text(knee.picks[0].evaluation.architecture),
        "evaluations": [s.architectures for s in story.summaries],
        "hypervolume": [] if reference is None else [_short(v) for v in story.volumes(reference)],
    }


def _row(evaluation: Evaluation, columns: Sequence[int]) -> list[float | int]:
    return [_short((evaluation.objectives or ())[c]) for c in columns]


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that are there twice."""
    return [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]


def _short(value: float) -> float | int:
    """To seven digits, which is more than anything is measured to."""
    return plain(float(f"{value:.7g}"))


def _objective(story: Story, name: str) -> Contents:
    """How an objective is to be written: its words, its unit, its bounds; and whether it is a share of pictures."""
    costly = name in story.costly
    return {
        "name": name,
        "label": label(name),
        "unit": unit(name),
        "costly": costly,
        "validated": costly and unit(name) == "%" and story.config.data is not None,
        "bounds": [[c.relation, c.bound] for c in story.constraints if c.name == name],
    }


def _point(story: Story, e: Evaluation) -> Contents:
    tested = story.tested.get(e.architecture, {})
    return {
        "name": story.text(e.architecture),
        "f": [_short(v) for v in e.objectives or ()],
        "found": story.found[e.architecture],
        **({"violation": _short(e.violation)} if e.violation > 0 else {}),
        **({"test": {n: _short(v) for n, v in tested.items() if math.isfinite(v)}} if tested else {}),
    }


def _block(block: Block) -> Contents:
    return {"label": block.label, "height": round(block.height, 3), "width": round(block.width, 3)}


def _knee(story: Story, place: Mapping[tuple[int, ...], int]) -> Contents | None:
    if (choice := story.knee) is None:
        return None
    reason = because(story.archive.front, choice, 0, story.space)
    return {"point": place[choice.picks[0].evaluation.architecture], "reason": reason}


def _iterations(story: Story) -> list[Contents]:
    volumes = story.volumes()
    return [
        {
            "measured": s.architectures,
            "front": len(s.front),
            "hypervolume": _short(volume),
            "correlation": {
                n: None if t is None else round(t, 4) for n, t in s.rank_correlation.items() if s.iteration
            },
            "surrogates": dict(s.surrogates),
            "seconds": seconds,
        }
        for s, volume, seconds in zip(story.summaries, volumes, story.seconds, strict=True)
    ]


def _predictions(story: Story, place: Mapping[tuple[int, ...], int]) -> list[Contents]:
    """For each costly objective: iteration, predicted, measured, and the point where it is still in the archive."""
    found = []
    for name in story.costly:
        c = story.names.index(name)
        rows = [
            [p.iteration, _short(p.predicted[c]), _short(p.measured[c]), place.get(p.architecture, -1)]
            for p in story.predictions
        ]
        if rows:
            found.append({"objective": c, "rows": rows})
    return found


def _training(story: Story) -> list[Contents]:
    """What was learnt from: for each costly objective iteration, epoch and the mean loss of that, null for none."""
    found = []
    for name in story.costly:
        rows = [
            [iteration, epoch, None if loss is None else _short(loss)]
            for iteration, losses in story.losses(name).items()
            for epoch, loss in enumerate(losses, start=1)
        ]
        if rows:
            found.append({"objective": story.names.index(name), "rows": rows})
    return found


def _adaptation(story: Story) -> list[Contents]:
    """What the same networks came to with each version of the weights; nothing where nothing was adapted."""
    found = []
    for name in story.costly if any(True for _ in story.of("adapted")) else ():
        versions, rows = story.cohort(name)
        if versions:
            found.append(
                {
                    "objective": story.names.index(name),
                    "versions": versions,
                    "networks": len(rows),
                    "lines": [[_short(v) for v in row] for row in rows[:_MOST_LINES]],
                    "median": [_short(v) for v in medians(rows)],
                }
            )
    return found


def _settings(story: Story) -> dict[str, str]:
    """Every setting as a text, those that are nobody else's business left out."""
    flat = story.config.flat()
    return {k.removeprefix("options."): "…" if is_secret(k) else cleaned(_said(v)) for k, v in flat.items()}


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _provenance(story: Story) -> Contents:
    c, tables = story.config, story.tables
    classes = [str(name) for name in tables.get("context", {}).get("class_names", ())]
    prints = tables.get("fingerprints", {})
    machine = prints.get("machine", {})
    spent = {part: sum(row[part] for row in story.seconds) for part in ("adapt", "measure", "search")}
    facts = {
        "run": story.name,
        "state": "finished" if story.finished else "not finished",
        "space": c.space,
        "data": c.data or "none: values come from a table or a formula",
        "classes": f"{len(classes)}: {', '.join(classes)}" if classes else "",
        "objectives": ", ".join(c.objectives),
        "constraints": ", ".join(c.constraints) or "none",
        "surrogate": c.surrogate,
        "optimizer": c.optimizer,
        "preset and seed": f"{c.preset}, {c.seed}",
        "time": _spent(spent),
        "machine": ", ".join(f"{word} {value}" for word, value in machine.items()),
        "sha256 of the data": str(prints.get("data", "")),
        "sha256 of the space": str(prints.get("space", "")),
    }
    return {
        "facts": [[word, cleaned(text)] for word, text in facts.items() if text],
        "command": story.command,
        "plugins": [[str(part), str(where)] for part, where in tables.get("plugins", {}).items()],
        "settings": [list(item) for item in _settings(story).items()],
    }


def _spent(seconds: Mapping[str, float]) -> str:
    from nat_core.report.terminal import duration

    words = {"adapt": "adapting", "measure": "measuring", "search": "searching"}
    return ", ".join(f"{duration(value)} {words[part]}" for part, value in seconds.items() if round(value))
