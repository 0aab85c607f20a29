"""A choice from a front in words: what was chosen, from how many, and why."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from nat_core.archive import Archive
from nat_core.choosing import Choice, Pick
from nat_core.contracts import SearchSpace
from nat_core.encoding import Architecture
from nat_core.problem import Constraint
from nat_core.report.summary import plain
from nat_core.report.terminal import number

Tested = Mapping[Architecture, Mapping[str, float]]
_SCORES = {"knee": "trade_off", "preference": "achievement"}  # the value of one objective is there already
_NAMES = 3  # objectives in a sentence
_GLUE = "\0"  # rich breaks lines at a no-break space, and who copies the text wants a plain one


@dataclass(frozen=True)
class Paragraph:
    """Plain text in lines that keep a number and its unit together, and a name in one piece."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, as long as the width lets them be."""
        glued = re.sub(r"(?<=\d) (?=[%M](?!\w))", _GLUE, self.text)
        lines = textwrap.wrap(glued, options.max_width, break_on_hyphens=False)
        yield Text("\n".join(lines).replace(_GLUE, " "))


def pick_table(front: Archive, pick: Pick, space: SearchSpace, tested: Tested) -> Table:
    """One architecture: a row for each objective, beside the front's range. Never wider than a terminal."""
    test = tested.get(pick.evaluation.architecture, {})
    table = Table(box=None, title=_name(space, pick.evaluation.architecture), title_style="bold", padding=(0, 2, 0, 0))
    table.title_justify = "left"
    table.add_column("")
    for heading in ("value", *(("test",) if test else ()), "front: best", "worst", "place"):
        table.add_column(heading, justify="right", no_wrap=heading != "place")
    for i, (name, value) in enumerate(zip(front.names, pick.evaluation.objectives or (), strict=True)):
        column = front.F[:, i]
        place = f"{int((column < value).sum()) + 1} of {len(front)}"
        cells = [number(name, value), *([number(name, test[name]) if name in test else ""] if test else [])]
        table.add_row(name, *cells, number(name, column.min()), number(name, column.max()), place)
    for name, value in pick.costs.items():
        table.add_row(name, number(name, value))
    return table


def choice_table(front: Archive, choice: Choice, space: SearchSpace, tested: Tested) -> RenderableType:
    """Every pick with its reason."""
    parts: list[RenderableType] = []
    for place, pick in enumerate(choice.picks):
        parts += [pick_table(front, pick, space, tested), Paragraph(because(front, choice, place, space)), Text()]
    fewer = [Text(f"{choice.asked} were asked for; there are no more.")] if len(choice.picks) < choice.asked else []
    return Group(*parts[:-1], *fewer)


def because(front: Archive, choice: Choice, place: int, space: SearchSpace) -> str:
    """Why the pick at a place was chosen, in plain sentences."""
    pick = choice.picks[place]
    sentences = [_from_how_many(choice), *_violates(front)]
    if choice.within == 1:
        sentences.append("It is the only one.")
    elif choice.method == "preference":
        sentences.append(_near(front, choice, pick, place))
    elif choice.method == "best":
        sentences.append(_least(front, choice, pick, place))
    elif math.isinf(pick.score):
        sentences.append("Their objectives are all equal; the first is taken.")
    else:
        sentences.append(_dear(choice, pick, place, space))
    return " ".join(sentences)


def choice_document(folder: str, front: Archive, choice: Choice, space: SearchSpace, tested: Tested) -> dict[str, Any]:
    """What `nat pick --json` prints."""
    return {
        "run": folder,
        "method": choice.method,
        "bounds": [f"{b.name}{b.relation}{b.bound!r}" for b in choice.bounds],
        "preference": dict(choice.preference),
        **({"best": choice.best} if choice.best else {}),
        "front": choice.on_front,
        "within_bounds": choice.within,
        "picks": [
            {
                "architecture": _name(space, pick.evaluation.architecture),
                "objectives": dict(zip(front.names, map(plain, pick.evaluation.objectives or ()), strict=True)),
                "costs": {name: _finite(plain(value)) for name, value in pick.costs.items()},
                "test": dict(tested.get(pick.evaluation.architecture, {})),
                **({_SCORES[choice.method]: _finite(pick.score)} if choice.method in _SCORES else {}),
                "reason": because(front, choice, place, space),
            }
            for place, pick in enumerate(choice.picks)
        ],
    }


def _from_how_many(choice: Choice) -> str:
    if not choice.bounds:
        return f"The front has {choice.on_front} architecture{'s' * (choice.on_front != 1)}."
    bounds = " and ".join(map(_bound, choice.bounds))
    if choice.within == choice.on_front > 1:
        return f"All {choice.on_front} on the front meet {bounds}."
    return f"Of {choice.on_front} on the front, {choice.within} meet{'s' * (choice.within == 1)} {bounds}."


def _violates(front: Archive) -> list[str]:
    violated = len(front) and front.violation.min() > 0
    return ["None measured so far meets the constraints of the run; these violate them least."] if violated else []


def _dear(choice: Choice, pick: Pick, place: int, space: SearchSpace) -> str:
    """The words of a knee."""
    steps, towards = pick.steps or {}, pick.towards
    assert towards is not None  # noqa: S101 - a finite trade-off has a neighbour
    better = _shares((name, -step) for name, step in steps.items() if step < 0)
    worse = _shares((name, step) for name, step in steps.items() if step > 0)
    rank = f"the highest trade-off of the {choice.within}" if not place else f"trade-off number {place + 1}"
    return (
        f"Moving on from here costs at least {pick.score:.3g} % of a range for each 1 % gained, {rank}: "
        f"the cheapest step, to {_name(space, towards.architecture)}, gains {better}; it gives up {worse}."
    )


def _near(front: Archive, choice: Choice, pick: Pick, place: int) -> str:
    """The words of a preference."""
    wishes = ", ".join(f"{name} {number(name, value)}" for name, value in choice.preference.items())
    missed = {name: step for name, step in (pick.steps or {}).items() if step > 0}
    verdict = f"misses by {_shares(missed.items())}" if missed else "reaches all that was named"
    rank = "the nearest" if not place else f"number {place + 1} in nearness"
    rest = "" if len(choice.preference) == len(front.names) else ", and what was not named counts a tenth"
    return f"Of these it is {rank} to the wished {wishes}: it {verdict}{rest}."


def _least(front: Archive, choice: Choice, pick: Pick, place: int) -> str:
    """The words of a least value."""
    value = number(choice.best, pick.score)
    rank = f"it has the least {choice.best}, {value}" if not place else f"it is number {place + 1}, with {value}"
    if not pick.equals:
        return f"Of these {rank}."
    others = [name for name in front.names if name != choice.best][:_NAMES]
    same = f"{pick.equals} other{'s have' if pick.equals > 1 else ' has'} the same"
    return f"Of these {rank}; {same}, so {', then '.join(others)} decide{'s' * (len(others) == 1)}."


def _shares(steps: Iterable[tuple[str, float]]) -> str:
    """`2 % of the range in macs and 1 % in params`, the largest first."""
    ordered = sorted(steps, key=lambda item: -item[1])
    said = [f"{100 * step:.3g} % {'of the range ' if not i else ''}in {n}" for i, (n, step) in enumerate(ordered)]
    if len(said) > _NAMES + 1:
        said = [*said[:_NAMES], f"less in {len(said) - _NAMES} more"]
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1])))


def _bound(bound: Constraint) -> str:
    return f"{bound.name} {bound.relation} {number(bound.name, bound.bound)}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _name(space: SearchSpace, architecture: Architecture) -> str:
    return str(space.describe(architecture)["architecture"])
