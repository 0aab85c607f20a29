from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field

from nat_core.config import setting
from nat_core.errors import ConfigError
from nat_core.options import checked, describe, options

if TYPE_CHECKING:
    from nowhere import Nothing


def factory(
    space,
    data,
    *,
    count: Annotated[int, "how many"] = 3,
    rate: float = 0.1,
    kernel: Annotated[Literal["cubic", "linear"], "of the basis"] = "cubic",
    name: str = "x",
    place: Path = Path(),
    on: bool = False,
    widths: Annotated[Sequence[float], "multipliers"] = (1.0,),
    pair: tuple[int, int] = (1, 2),
    many: list[str] = [],  # noqa: B006
    table: Mapping[str, float] | None = None,
    size: int | None = None,
    share: Annotated[float, Field(ge=0, le=1), "of all"] = 0.5,
    free=None,
    unknown: Nothing | None = None,
    matrix: np.ndarray | None = None,
) -> Nothing:
    return locals()


SCHEMA = """Options of part:
  part.count (int, default 3): how many
  part.rate (float, default 0.1)
  part.kernel (cubic | linear, default 'cubic'): of the basis
  part.name (str, default 'x')
  part.place (Path, default PosixPath('.'))
  part.on (bool, default False)
  part.widths (sequence of float, default (1.0,)): multipliers
  part.pair (tuple of int, int, default (1, 2))
  part.many (list of str, default [])
  part.table (mapping of str, float or none, default None)
  part.size (int or none, default None)
  part.share (float, default 0.5): of all
  part.free (Any, default None)
  part.unknown (Any, default None)
  part.matrix (ndarray or none, default None)"""


def test_a_signature_is_the_schema():
    assert describe("part", factory) == SCHEMA
    assert "space" not in options(factory)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("count=4", 4),
        ("count='4'", 4),
        ("count=4.0", 4),
        ("rate=1e-3", 0.001),
        ("rate=2", 2.0),
        ("kernel=linear", "linear"),
        ("name=plain", "plain"),
        ("name=7", "7"),
        ("name=none", "none"),
        ("place=a/b", Path("a/b")),
        ("on=true", True),
        ("on=yes", True),
        ("widths=1.0,1.2", [1.0, 1.2]),
        ("widths=[1, 1.2]", [1.0, 1.2]),
        ("widths=1", [1.0]),
        ("pair=3,4", (3, 4)),
        ("many=a,b", ["a", "b"]),
        ("many=a", ["a"]),
        ("table={a = 1}", {"a": 1.0}),
        ("table=none", None),
        ("size=none", None),
        ("size=None", None),
        ("size=12", 12),
        ("share=0.25", 0.25),
        ("free=[1, 'x']", [1, "x"]),
        ("unknown=7", 7),
    ],
)
def test_words_of_the_command_line_become_values(word, value):
    given = setting(f"part.{word}")["options"]["part"]
    (converted,) = checked("part", factory, given).values()
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    "word",
    [
        "count=many",
        "count=1.5",
        "count=none",
        "count=1,2",
        "rate=fast",
        "kernel=cubik",
        "on=perhaps",
        "widths=a,b",
        "widths=wide",
        "pair=1",
        "pair=1,2,3",
        "table=3",
        "table={a = 'x'}",
        "size=big",
        "share=1.5",
        "share=nan",
        "matrix=3",
        "rate=nan",
        "rate=inf",
        "rate=NaN",
        "rate=-Infinity",
        "count=nan",
        "count=inf",
        "widths=1.0,inf",
        "table={a = nan}",
    ],
)
def test_a_wrong_value_is_told_with_what_the_option_is(word):
    name = word.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"part\.{name} is .*: .*\. It is {name} \(") as caught:
        checked("part", factory, setting(f"part.{word}")["options"]["part"])
    assert caught.value.exit_code == 2


def test_a_number_is_finite_unless_the_option_says_otherwise():
    def endless(rate: float = 0.1, most: Annotated[float, Field(allow_inf_nan=True), "of all"] = 1.0):
        pass

    with pytest.raises(ConfigError, match=r"part\.rate is inf: Input should be a finite number\. It is rate \(float"):
        checked("part", endless, {"rate": float("inf")})
    assert checked("part", endless, {"most": float("inf")}) == {"most": float("inf")}


def test_an_unknown_option_is_told_with_all_there_are():
    with pytest.raises(ConfigError, match=r"unknown option of part 'kernal'. Did you mean 'kernel'") as caught:
        checked("part", factory, {"kernal": "cubic"})
    assert SCHEMA in str(caught.value)
    with pytest.raises(ConfigError, match="unknown option of part 'space'"):
        checked("part", factory, {"space": 1})


def test_a_missing_option_is_told_with_how_to_set_it():
    def needy(path: str, also: int):
        pass

    with pytest.raises(ConfigError, match=r"part needs path, also: set it with -s part\.path=") as caught:
        checked("part", needy, {})
    assert "part.path (str, required)" in str(caught.value)
    assert checked("part", needy, {"path": "x", "also": 1}) == {"path": "x", "also": 1}


def test_a_factory_without_hints_takes_values_as_they_are():
    assert checked("part", lambda depth=2: depth, {"depth": [1]}) == {"depth": [1]}


def test_open_keywords_are_no_options():
    def wide(*things, known: int = 1, **options):
        pass

    assert list(options(wide)) == ["known"]
    with pytest.raises(ConfigError, match="unknown option"):
        checked("part", wide, {"other": 1})


class Plain:
    def __init__(self, space, depth: Annotated[int, "layers"] = 2):
        self.space, self.depth = space, depth

    def method(self, width: Annotated[int, "channels"] = 2):
        return width


@dataclass
class Data:
    space: Any
    depth: Annotated[int, "layers"] = 2


class Callable:
    def __call__(self, space, depth: Annotated[int, "layers"] = 2):
        return space, depth


@pytest.mark.parametrize("made", [Plain, Data, Callable(), functools.partial(Plain, "space"), functools.partial(Data)])
def test_any_callable_is_a_factory(made):
    assert checked("part", made, {"depth": "3"}) == {"depth": 3}
    assert "part.depth (int, default 2): layers" in describe("part", made)


def test_a_method_and_a_partial_with_a_value_are_factories():
    assert checked("part", Plain(0).method, {"width": "3"}) == {"width": 3}
    preset = functools.partial(factory, count=9)
    assert options(preset)["count"].default == 9
    assert checked("part", preset, {"count": "4"}) == {"count": 4}


def test_something_built_in_takes_no_options():
    assert describe("part", dict) == "part takes no options."
    with pytest.raises(ConfigError, match="unknown option"):
        checked("part", dict, {"a": 1})


def test_a_model_as_an_option_brings_its_own_settings():
    @dataclass
    class Inner:
        depth: int

    def nested(inner: Inner | None = None):
        pass

    nested.__annotations__["inner"] = Inner
    assert checked("part", nested, {"inner": {"depth": "3"}}) == {"inner": Inner(3)}
    with pytest.raises(ConfigError, match="inner"):
        checked("part", nested, {"inner": {"deep": 3}})


def test_every_factory_of_this_environment_describes_itself():
    from nat_core.plugins import load

    for offer in load().offers:
        if offer.factory is not None:
            assert describe(offer.name, offer.factory)
            for option in options(offer.factory).values():
                assert option.type is not Any, f"{offer.kind} {option}"
                assert option.description or option.name == "seed", f"{offer.kind} {option}"
