"""The 22 variables of the paper: resolution, width, and 20 layer slots, four to a stage.

A layer's code is 0 (skipped; only the third and fourth of a stage may be) or 1 + kernel index + 3 · expansion index
over kernels 3, 5, 7 and expansions 3, 4, 6. The published text form is two digits for the resolution's index, one for
the width (0: 1.0, 1: 1.2) and the 20 codes: NAT-M1 is `08011001440551052208877`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Operator, StaticNetwork
from nat_core.encoding import Architecture, Encodings, Variable, as_encodings
from nat_core.errors import ConfigError
from nat_mbv3.features import features
from nat_mbv3.layout import MAX_DEPTH, STAGES, Layer, Layout, lists
from nat_mbv3.operators import N_SLOTS, OperatorTable, tabulate
from nat_mbv3.shrinking import phases

if TYPE_CHECKING:
    from torch import nn

    from nat_mbv3.supernet import Supernet

KERNELS, EXPANDS, DEPTHS, WIDTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4), (1.0, 1.2)
CODES = {1 + k + 3 * e: Layer(KERNELS[k], EXPANDS[e]) for e in range(3) for k in range(3)}
CODE_OF = {layer: code for code, layer in CODES.items()}
SKIP = 0

_FORMS = (
    "accepted are the published 23 digits ('08011001440551052208877'), a dictionary with ks, e, d, r and w, "
    "or a tuple of 22 choice indices"
)


def resolutions_for(image_size: int) -> tuple[int, ...]:
    """Steps of 4 from 3/4 of the picture side up to it, as the paper's 192 … 256; the side is held in 32 … 256."""
    top = min(max(image_size // 4 * 4, 32), 256)
    return tuple(range(top * 3 // 16 * 4, top + 1, 4))


@dataclass(frozen=True)
class MobileNetV3Space:
    """Meets `SupernetSpace` and `OperatorSpace`. Raises `ConfigError` for impossible options."""

    resolutions: tuple[int, ...]
    widths: tuple[float, ...] = WIDTHS
    kernels: tuple[int, ...] = KERNELS
    expands: tuple[int, ...] = EXPANDS
    depths: tuple[int, ...] = DEPTHS
    classes: int = 1000
    weights: object = field(default=None, hash=False)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("widths", WIDTHS), ("kernels", KERNELS), ("expands", EXPANDS), ("depths", DEPTHS)):
            _require_choice(name, getattr(self, name), allowed)
        if not self.resolutions or len(self.resolutions) > 100 or min(self.resolutions) < 1:
            raise ConfigError(f"mbv3.resolutions is {self.resolutions}: give 1 to 100 sides in pixels, each at least 1")
        if tuple(sorted(set(self.resolutions))) != self.resolutions:
            raise ConfigError(f"mbv3.resolutions is {self.resolutions}: give them in rising order, each once")
        if self.classes < 1:
            raise ConfigError(f"mbv3.classes is {self.classes}: a classifier has at least one output")

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Resolution, width, and 20 slots whose choices are layer codes."""
        slots = (
            Variable(f"stage{g + 1}.layer{j + 1}", self._slot_codes(j))
            for g in range(len(STAGES))
            for j in range(MAX_DEPTH)
        )
        return (Variable("resolution", self.resolutions), Variable("width", self.widths), *slots)

    def _slot_codes(self, position: int) -> tuple[int, ...]:
        live = tuple(CODE_OF[Layer(k, e)] for e in self.expands for k in self.kernels)
        may_skip = position >= min(self.depths)
        may_live = position < max(self.depths)
        return (SKIP,) * may_skip + live * may_live

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        """The code of every choice of every slot, (20, most choices)."""
        table = np.zeros((MAX_DEPTH * len(STAGES), 10), dtype=np.int64)
        for row, variable in zip(table, self.variables[2:], strict=True):
            row[: len(variable.choices)] = np.array(variable.choices)
        return table

    @cached_property
    def _indices(self) -> NDArray[np.int64]:
        """The inverse of `_codes`: the choice of every code of every slot, (20, 10)."""
        table = np.zeros_like(self._codes)
        for row, variable in zip(table, self.variables[2:], strict=True):
            row[np.array(variable.choices)] = range(len(variable.choices))
        return table

    def _slots(self, X: Encodings) -> NDArray[np.int64]:
        """Layer codes, (n, 20)."""
        return self._codes[np.arange(len(self._codes)), X[:, 2:]]

    def _rows(self, head: Encodings, slots: NDArray[np.int64]) -> Encodings:
        """X from resolution and width indices (n, 2) and codes (n, 20)."""
        return np.hstack([head, self._indices[np.arange(len(self._indices)), slots]])

    def canonicalize(self, X: Encodings) -> Encodings:
        """A live fourth layer behind a skipped third moves forward; a depth the space lacks loses its last layer."""
        slots = self._slots(X)
        stages = slots.reshape(len(X), len(STAGES), MAX_DEPTH)
        gap = (stages[..., 2] == SKIP) & (stages[..., 3] != SKIP)
        stages[..., 2] = np.where(gap, stages[..., 3], stages[..., 2])
        stages[..., 3] = np.where(gap, SKIP, stages[..., 3])
        if 3 not in self.depths:
            depth3 = (stages[..., 2] != SKIP) & (stages[..., 3] == SKIP)
            stages[..., 2] = np.where(depth3, SKIP, stages[..., 2])
        return self._rows(X[:, :2], slots)

    def sample(self, n: int, rng: np.random.Generator) -> Encodings:
        """Uniform over depths first, then over the layers, as the paper's initial archive: (n, 22), canonical."""
        head = np.column_stack([rng.integers(0, len(c), n) for c in (self.resolutions, self.widths)])
        live = [CODE_OF[Layer(k, e)] for e in self.expands for k in self.kernels]
        stages = rng.choice(live, size=(n, len(STAGES), MAX_DEPTH))
        depth = rng.choice(self.depths, size=(n, len(STAGES), 1))
        stages = np.where(np.arange(MAX_DEPTH) < depth, stages, SKIP)
        return self._rows(head, stages.reshape(n, MAX_DEPTH * len(STAGES)))

    def shrinking(self) -> tuple[tuple[str, Callable[[int, np.random.Generator], Encodings]], ...]:
        """The phases of progressive shrinking: see `nat_mbv3.shrinking`."""
        return tuple(phases(self))

    def widened(self, X: Encodings, part: MobileNetV3Space) -> Encodings:
        """Rows of a space with fewer layer choices, as rows of this one."""
        return self._rows(X[:, :2], part._slots(X))

    def features(self, X: Encodings) -> NDArray[np.float64]:
        """What a surrogate should look at, (n, n_features): see `nat_mbv3.features`."""
        return features(X, self._slots(X), len(self.resolutions))

    def layout(self, architecture: Architecture) -> Layout:
        """The live layers of an architecture."""
        return _layout(self, tuple(architecture))

    def input_shape(self, architecture: Architecture) -> tuple[int, int, int]:
        """(3, side, side)."""
        side = self.resolutions[architecture[0]]
        return 3, side, side

    def describe(self, architecture: Architecture) -> dict[str, object]:
        """The 23 digits, and OFA's dictionary over the live layers."""
        layout = self.layout(architecture)
        codes = self._slots(self.canonicalize(as_encodings([architecture], 22)))[0]
        return {
            "architecture": f"{architecture[0]:02d}{WIDTHS.index(layout.width)}" + "".join(map(str, codes)),
            **lists(layout),
            "r": self.resolutions[architecture[0]],
            "w": layout.width,
        }

    def parse(self, text_or_dict: object) -> Architecture:
        """Read the published 23 digits, OFA's dictionary (`ks`, `e`, `d`, `r`, `w`) or a tuple of choice indices."""
        if isinstance(text_or_dict, str):
            resolution, width, codes = self._read_digits(text_or_dict.strip())
        elif isinstance(text_or_dict, Mapping):
            resolution, width, codes = self._read_mapping(text_or_dict)
        elif isinstance(text_or_dict, Sequence):
            return self._read_indices(text_or_dict)
        else:
            raise _unreadable(text_or_dict)
        for variable, code in zip(self.variables[2:], codes, strict=True):
            _require_member(f"{_shown(text_or_dict)}: {variable.name} has code", code, variable.choices)
        for g in range(len(STAGES)):
            depth = MAX_DEPTH - codes[MAX_DEPTH * g :][:MAX_DEPTH].count(SKIP)
            _require_member(f"{_shown(text_or_dict)}: stage{g + 1} has depth", depth, self.depths)
        head = [self.resolutions.index(resolution), self.widths.index(width)]
        X = self._rows(as_encodings([head], 2), as_encodings([codes], len(codes)))
        return tuple(self.canonicalize(X)[0].tolist())

    def _read_digits(self, text: str) -> tuple[int, float, list[int]]:
        if len(text) != 23 or not (text.isascii() and text.isdigit()):
            raise _unreadable(text)
        _require_member(f"{text!r}: resolution has index", int(text[:2]), range(len(self.resolutions)))
        _require_member(f"{text!r}: width has index", int(text[2]), [WIDTHS.index(w) for w in self.widths])
        return self.resolutions[int(text[:2])], WIDTHS[int(text[2])], [int(c) for c in text[3:]]

    def _read_mapping(self, given: Mapping[object, object]) -> tuple[int, float, list[int]]:
        try:
            kernels, expands, depths = (_integers(given[k]) for k in ("ks", "e", "d"))
            resolution, width = (
                _only(k, given.get(k), default) for k, default in (("r", self.resolutions), ("w", self.widths))
            )
        except (KeyError, TypeError):
            raise _unreadable(given) from None
        _require_member("r is", resolution, self.resolutions)
        _require_member("w is", width, self.widths)
        return int(resolution), float(width), self._codes_from(kernels, expands, depths)

    def _codes_from(self, kernels: list[int], expands: list[int], depths: list[int]) -> list[int]:
        """20 codes from OFA's lists, which hold the live layers alone or all 20."""
        full = len(kernels) == MAX_DEPTH * len(STAGES)
        if len(depths) != len(STAGES) or len(kernels) != len(expands) or not (full or len(kernels) == sum(depths)):
            raise ConfigError(
                f"ks has {len(kernels)} entries, e {len(expands)} and d is {_shown(depths)}: d needs {len(STAGES)} "
                f"depths, and ks and e one entry for each live layer ({sum(depths)}) or for all 20"
            )
        codes, start = [], 0
        for depth in depths:
            _require_member("d has", depth, self.depths)
            pairs = zip(kernels[start : start + depth], expands[start : start + depth], strict=True)
            codes += [self._code(k, e) for k, e in pairs] + [SKIP] * (MAX_DEPTH - depth)
            start += MAX_DEPTH if full else depth
        return codes

    def _code(self, kernel: int, expand: int) -> int:
        _require_member("ks has", kernel, self.kernels)
        _require_member("e has", expand, self.expands)
        return CODE_OF[Layer(kernel, expand)]

    def _read_indices(self, given: Sequence[object]) -> Architecture:
        try:
            indices = _integers(given)
        except TypeError:
            indices = []
        if len(indices) != len(self.variables):
            raise _unreadable(given)
        for variable, index in zip(self.variables, indices, strict=True):
            _require_member(f"{variable.name} has choice index", index, range(len(variable.choices)))
        return tuple(self.canonicalize(as_encodings([indices], len(indices)))[0].tolist())

    @cached_property
    def _table(self) -> OperatorTable:
        return tabulate(self.resolutions, self.widths, CODES, self.classes)

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All distinct operators of the paper's layer codes at these resolutions and widths."""
        return self._table.operators

    def layers(self, X: Encodings) -> NDArray[np.int64]:
        """The operators of canonical X, (n, 25); −1 where a layer is skipped."""
        slots = np.zeros((len(X), N_SLOTS), dtype=np.int64)
        slots[:, 2:22] = self._slots(X)
        return self._table.index[X[:, :1], X[:, 1:2], np.arange(N_SLOTS), slots]

    def supernet(self, n_classes: int, weights: object = None) -> Supernet:
        """The supernet: from `weights`, else from the space's own option, else random by the space's seed.

        `weights` is `ofa` (OFA's published supernets, downloaded once), a path to an OFA checkpoint (one width) or to
        our own safetensors (all widths), or a mapping from width to one of these. A classifier for another number of
        classes is left random. Raises `ConfigError` for a file that does not fit.
        """
        from nat_mbv3.checkpoint import build

        return build(self, n_classes, self.weights if weights is None else weights)

    def sequence(self, architecture: Architecture) -> nn.Sequential:
        """The plain network with random weights, a child for each live slot: see `nat_mbv3.sequence`."""
        from nat_mbv3.sequence import sequence

        return sequence(self.layout(architecture), self.classes)

    def static_network(self, config: Path, weights: Path) -> StaticNetwork:
        """A published network of this family: a `net.config` of OFA or NAT, and its weights."""
        from nat_mbv3.static import static_network

        found, network = static_network(config, weights)
        return StaticNetwork(network, found.describe(), found.side, found.n_classes)


class PretrainedSpace(MobileNetV3Space):
    """One whose supernet begins from files. Meets `Fingerprinted`: a run does not go on with other ones."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the files."""
        from nat_mbv3.checkpoint import fingerprint

        return fingerprint(self.widths, self.weights)

    @property
    def weights_licence(self) -> str | None:
        """Of the weights that the supernet begins with: `nat export` writes it into the card."""
        return "MIT (once-for-all, trained on ImageNet)" if self.weights == "ofa" else None


@lru_cache(maxsize=65536)
def _layout(space: MobileNetV3Space, architecture: Architecture) -> Layout:
    X = space.canonicalize(as_encodings([architecture], len(architecture)))
    stages = space._slots(X).reshape(len(STAGES), MAX_DEPTH).tolist()  # noqa: SLF001 - the cached half of a method
    layers = tuple(tuple(CODES[code] for code in stage if code != SKIP) for stage in stages)
    return Layout(space.widths[architecture[1]], layers)


def _integers(given: object) -> list[int]:
    """The whole numbers of a list. Raises `TypeError` for anything else, `True` and 3.0 included."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray):
        raise TypeError(given)
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in given):
        raise TypeError(given)
    return [int(v) for v in given]


def _only(name: str, value: object, choices: Sequence[float]) -> float:
    """A number, or a list of one as OFA writes resolutions; where it is missing, the space's only choice."""
    if value is None and len(choices) == 1:
        return choices[0]
    if value is None:
        _require_member(f"{name} is missing:", "none given", choices)
    if isinstance(value, Sequence) and len(value) == 1:
        value = value[0]
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _unreadable(given: object) -> ConfigError:
    return ConfigError(f"cannot read an architecture from {_shown(given)}: {_FORMS}")


def _shown(given: object) -> str:
    """`given` as a person would want to see it in one line, however large or deep it is."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 60, 60
    short.maxdict, short.maxlist, short.maxtuple = 8, 24, 24
    return short.repr(given)


def _require_choice(name: str, given: tuple[float, ...], allowed: tuple[float, ...]) -> None:
    if not given or not set(given) <= set(allowed) or tuple(sorted(set(given))) != given:
        listed = ", ".join(map(str, allowed))
        raise ConfigError(f"mbv3.{name} is {given}: choose one or more of {listed}, in rising order, each once")


def _require_member(what: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        listed = f"{allowed[0]} … {allowed[-1]}" if len(allowed) > 10 else ", ".join(map(str, allowed))
        raise ConfigError(f"{what} {value}; this space has {listed}")
