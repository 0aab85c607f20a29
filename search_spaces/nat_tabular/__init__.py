"""Search spaces whose objectives stand in a table: a search on them trains nothing, and its true front is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl
from nat_core.contracts import SearchSpace

if TYPE_CHECKING:
    from nat_tabular.macro import MacroError, MacroSpace


def nas_bench_macro(
    *,
    table: Annotated[str, "nas-bench-macro_cifar10.json of github.com/xiusu/NAS-Bench-Macro"],
) -> MacroSpace:
    """NAS-Bench-Macro: eight layers of three kinds, 6,561 networks, each trained three times on CIFAR-10."""
    from nat_tabular.macro import MacroSpace
    from nat_tabular.table import load

    return MacroSpace(load(table))


def nas_bench_macro_error(space: SearchSpace) -> MacroError:
    """Top-1 error on CIFAR-10's test images, 0 … 1: the mean of the table's three trainings."""
    from nat_tabular.macro import MacroError

    return MacroError(space)


@hookimpl
def register_search_spaces() -> Mapping[str, Callable[..., MacroSpace]]:
    """The space `nas-bench-macro`."""
    return {"nas-bench-macro": nas_bench_macro}


@hookimpl
def register_estimators() -> Mapping[str, Callable[..., MacroError]]:
    """What measures in the space of the same name."""
    return {"nas-bench-macro": nas_bench_macro_error}
