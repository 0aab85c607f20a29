"""21 variables: resolution, and the 20 layers of EfficientNet-Lite1 that expand.

A layer's code is 0 (skipped; only the last two of a stage may be) or 1 + kernel index + 2 · expansion index over
kernels 3, 5 and expansions 3, 4, 6. Where the published kernel is 3 there is no 5. The text form is two digits for the
resolution's index and the codes, stage by stage, with a dash between: Lite1 is `15-555-666-5555-6666-66666-5` at the
16th resolution, and Lite0 is `15-550-660-5550-6660-66660-5`.
"""

from __future__ import annotations

import itertools
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Operator
from nat_core.encoding import Architecture, Encodings, Variable, as_encodings
from nat_core.errors import ConfigError
from nat_lite.features import features
from nat_lite.layout import SLOTS, STAGES, Layer, Layout
from nat_lite.operators import N_SLOTS, OperatorTable, tabulate

if TYPE_CHECKING:
    from torch import nn

    from nat_lite.supernet import Normalisation, Supernet

KERNELS, EXPANDS, LEFT_OUT = (3, 5), (3, 4, 6), (0, 1, 2)
CODES = {1 + k + 2 * e: Layer(KERNELS[k], EXPANDS[e]) for e in range(3) for k in range(2)}
CODE_OF = {layer: code for code, layer in CODES.items()}
SKIP = 0
IMAGENET, NONE = "imagenet", "none"

_STARTS = np.cumsum([0, *(stage.depth for stage in STAGES)]).tolist()  # the first slot of each stage, and the end
_TEXT = re.compile("-".join(["([0-9]{2})", *(f"([0-9]{{{stage.depth}}})" for stage in STAGES)]))
_FORMS = (
    "accepted are two digits for the resolution and a digit for each layer ('00-555-666-5555-6666-66666-5'), "
    "a dictionary with ks, e, d and r, or a tuple of 21 choice indices"
)


def resolutions_for(image_size: int) -> tuple[int, ...]:
    """Steps of 8 from half the picture side up to it; the side is held in 32 … 240, which Lite1 was trained at."""
    top = min(max(image_size // 8 * 8, 32), 240)
    return tuple(range(top // 16 * 8, top + 1, 8))


@dataclass(frozen=True)
class LiteSpace:
    """Meets `SupernetSpace`, `OperatorSpace` and `FeatureSpace`. Raises `ConfigError` for impossible options."""

    resolutions: tuple[int, ...]
    kernels: tuple[int, ...] = KERNELS
    expands: tuple[int, ...] = EXPANDS
    left_out: tuple[int, ...] = LEFT_OUT
    classes: int = 1000
    weights: str = IMAGENET
    normalisation: Normalisation | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("kernels", KERNELS), ("expands", EXPANDS), ("left_out", LEFT_OUT)):
            _require_choice(name, getattr(self, name), allowed)
        if not self.resolutions or len(self.resolutions) > 100 or min(self.resolutions) < 1:
            raise ConfigError(f"lite.resolutions is {self.resolutions}: give 1 to 100 sides in pixels, each at least 1")
        if tuple(sorted(set(self.resolutions))) != self.resolutions:
            raise ConfigError(f"lite.resolutions is {self.resolutions}: give them in rising order, each once")
        if self.classes < 1:
            raise ConfigError(f"lite.classes is {self.classes}: a classifier has at least one output")
        _require_normalisation(self.normalisation)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Resolution, and 20 slots whose choices are layer codes."""
        slots = (Variable(f"stage{g + 1}.layer{j + 1}", self._slot_codes(g, j)) for g, j in SLOTS)
        return (Variable("resolution", self.resolutions), *slots)

    def depths(self, stage: int) -> tuple[int, ...]:
        """How many layers a stage may have, in rising order."""
        depth = STAGES[stage].depth
        return tuple(depth - n for n in reversed(self.left_out)) if STAGES[stage].may_lack else (depth,)

    def _live_codes(self, stage: int) -> tuple[int, ...]:
        return tuple(CODE_OF[Layer(k, e)] for e in self.expands for k in self._kernels(stage))

    def _kernels(self, stage: int) -> tuple[int, ...]:
        return self.kernels if STAGES[stage].kernel == 5 else (3,)

    def _slot_codes(self, stage: int, position: int) -> tuple[int, ...]:
        depths = self.depths(stage)
        return (SKIP,) * (position >= min(depths)) + self._live_codes(stage) * (position < max(depths))

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        """The code of every choice of every slot, (20, most choices)."""
        table = np.zeros((len(SLOTS), 1 + len(CODES)), dtype=np.int64)
        for row, variable in zip(table, self.variables[1:], strict=True):
            row[: len(variable.choices)] = np.array(variable.choices)
        return table

    @cached_property
    def _indices(self) -> NDArray[np.int64]:
        """The inverse of `_codes`: the choice of every code of every slot, (20, 7)."""
        table = np.zeros_like(self._codes)
        for row, variable in zip(table, self.variables[1:], strict=True):
            row[np.array(variable.choices)] = range(len(variable.choices))
        return table

    def _slots(self, X: Encodings) -> NDArray[np.int64]:
        """Layer codes, (n, 20)."""
        return self._codes[np.arange(len(SLOTS)), X[:, 1:]]

    def _rows(self, resolutions: NDArray[np.int64], slots: NDArray[np.int64]) -> Encodings:
        """X from resolution indices (n,) and codes (n, 20)."""
        return np.column_stack([resolutions, self._indices[np.arange(len(SLOTS)), slots]])

    def canonicalize(self, X: Encodings) -> Encodings:
        """A live layer behind a skipped one moves forward; a depth the space lacks loses its last layer."""
        slots = self._slots(X)
        for g, stage in enumerate(STAGES):
            if not stage.may_lack:
                continue
            first, last = slots[:, _STARTS[g + 1] - 2], slots[:, _STARTS[g + 1] - 1]  # views
            gap = (first == SKIP) & (last != SKIP)
            first[gap], last[gap] = last[gap], SKIP
            if 1 not in self.left_out:
                first[last == SKIP] = SKIP
        return self._rows(X[:, 0], slots)

    def sample(self, n: int, rng: np.random.Generator) -> Encodings:
        """Uniform over depths first, then over the layers: (n, 21), canonical."""
        resolutions = rng.integers(0, len(self.resolutions), n)
        stages = [np.zeros((n, 0), dtype=np.int64)]
        for g, stage in enumerate(STAGES):
            codes = rng.choice(self._live_codes(g), size=(n, stage.depth))
            depth = rng.choice(self.depths(g), size=(n, 1))
            stages.append(np.where(np.arange(stage.depth) < depth, codes, SKIP))
        return self._rows(resolutions, np.hstack(stages))

    def features(self, X: Encodings) -> NDArray[np.float64]:
        """What a surrogate should look at, (n, n_features): see `nat_lite.features`."""
        return features(X, self._slots(X), len(self.resolutions))

    def layout(self, architecture: Architecture) -> Layout:
        """The live layers of an architecture."""
        return _layout(self, tuple(architecture))

    def input_shape(self, architecture: Architecture) -> tuple[int, int, int]:
        """(3, side, side)."""
        side = self.resolutions[architecture[0]]
        return 3, side, side

    def describe(self, architecture: Architecture) -> dict[str, object]:
        """The text, and lists of kernels, expansions and depths over the live layers, as OFA writes them."""
        stages = self.layout(architecture).stages
        codes = self._slots(self.canonicalize(as_encodings([architecture], len(self.variables))))[0]
        words = ["".join(map(str, codes[start:end])) for start, end in itertools.pairwise(_STARTS)]
        return {
            "architecture": "-".join([f"{architecture[0]:02d}", *words]),
            "ks": [layer.kernel for stage in stages for layer in stage],
            "e": [layer.expand for stage in stages for layer in stage],
            "d": [len(stage) for stage in stages],
            "r": self.resolutions[architecture[0]],
        }

    def parse(self, text_or_dict: object) -> Architecture:
        """Read the text, a dictionary with `ks`, `e`, `d` and `r`, or a tuple of choice indices."""
        if isinstance(text_or_dict, str):
            index, codes = self._read_text(text_or_dict.strip())
        elif isinstance(text_or_dict, Mapping):
            index, codes = self._read_mapping(text_or_dict)
        elif isinstance(text_or_dict, Sequence):
            return self._read_indices(text_or_dict)
        else:
            raise _unreadable(text_or_dict)
        for variable, code in zip(self.variables[1:], codes, strict=True):
            _require_member(f"{_shown(text_or_dict)}: {variable.name} has code", code, variable.choices)
        for g, stage in enumerate(STAGES):
            depth = stage.depth - codes[_STARTS[g] : _STARTS[g + 1]].count(SKIP)
            _require_member(f"{_shown(text_or_dict)}: stage{g + 1} has depth", depth, self.depths(g))
        X = self._rows(np.array([index]), as_encodings([codes], len(codes)))
        return tuple(self.canonicalize(X)[0].tolist())

    def _read_text(self, text: str) -> tuple[int, list[int]]:
        found = _TEXT.fullmatch(text)
        if found is None:
            raise _unreadable(text)
        index, *stages = found.groups()
        _require_member(f"{text!r}: resolution has index", int(index), range(len(self.resolutions)))
        return int(index), [int(code) for code in "".join(stages)]

    def _read_mapping(self, given: Mapping[object, object]) -> tuple[int, list[int]]:
        try:
            kernels, expands, depths = (_integers(given[name]) for name in ("ks", "e", "d"))
            (resolution,) = _integers([given["r"]])
        except (KeyError, TypeError):
            raise _unreadable(given) from None
        _require_member("r is", resolution, self.resolutions)
        if len(depths) != len(STAGES) or not len(kernels) == len(expands) == sum(depths):
            raise ConfigError(
                f"ks has {len(kernels)} entries, e {len(expands)} and d is {_shown(depths)}: d needs {len(STAGES)} "
                f"depths, and ks and e one entry for each layer ({sum(depths)})"
            )
        layers = iter(zip(kernels, expands, strict=True))
        codes = [code for g, depth in enumerate(depths) for code in self._codes_from(g, depth, layers)]
        return self.resolutions.index(resolution), codes

    def _codes_from(self, stage: int, depth: int, layers: Iterator[tuple[int, int]]) -> list[int]:
        """The codes of one stage's slots."""
        _require_member(f"d of stage{stage + 1} is", depth, self.depths(stage))
        codes = []
        for kernel, expand in (next(layers) for _ in range(depth)):
            _require_member(f"ks of stage{stage + 1} has", kernel, self._kernels(stage))
            _require_member("e has", expand, self.expands)
            codes.append(CODE_OF[Layer(kernel, expand)])
        return codes + [SKIP] * (STAGES[stage].depth - depth)

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
        return tabulate(self.resolutions, CODES, self.classes)

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All distinct operators of the layer codes at these resolutions."""
        return self._table.operators

    def layers(self, X: Encodings) -> NDArray[np.int64]:
        """The operators of canonical X, (n, 24); −1 where a layer is skipped."""
        slots = np.zeros((len(X), N_SLOTS), dtype=np.int64)
        slots[:, 2:-2] = self._slots(X)
        return self._table.index[X[:, :1], np.arange(N_SLOTS), slots]

    def sequence(self, architecture: Architecture) -> nn.Sequential:
        """The plain network with random weights, a child for each live slot: see `nat_lite.sequence`."""
        from nat_lite.sequence import sequence

        return sequence(self.layout(architecture), self.classes)

    @property
    def weights_licence(self) -> str | None:
        """Of the weights that the supernet begins with: `nat export` writes it into the card."""
        return "Apache-2.0 (EfficientNet-Lite, trained on ImageNet)" if self.weights == IMAGENET else None

    def supernet(self, n_classes: int, weights: object = None) -> Supernet:
        """The supernet: from `weights`, else from the space's own option.

        `weights` is `imagenet` (Lite1's, as they come with `nat-core[lite]`), `none` (random by the space's seed) or a
        path to Lite1's file or to our own safetensors. A classifier for another number of classes is left random.
        Raises `ConfigError` for weights that are not there or do not fit.
        """
        from nat_lite.checkpoint import build

        return build(self, n_classes, self.weights if weights is None else weights)


class PretrainedSpace(LiteSpace):
    """One whose supernet begins from a file. Meets `Fingerprinted`: a run does not go on with another one."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the file."""
        from nat_lite.checkpoint import fingerprint

        return fingerprint(self.weights)


@lru_cache(maxsize=65536)
def _layout(space: LiteSpace, architecture: Architecture) -> Layout:
    codes = space._slots(space.canonicalize(as_encodings([architecture], len(architecture))))[0].tolist()  # noqa: SLF001 - the cached half of a method
    stages = (codes[start:end] for start, end in itertools.pairwise(_STARTS))
    return Layout(tuple(tuple(CODES[code] for code in stage if code != SKIP) for stage in stages))


def _integers(given: object) -> list[int]:
    """The whole numbers of a list. Raises `TypeError` for anything else, `True` and 3.0 included."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray):
        raise TypeError(given)
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in given):
        raise TypeError(given)
    return [int(v) for v in given]


def _unreadable(given: object) -> ConfigError:
    return ConfigError(f"cannot read an architecture from {_shown(given)}: {_FORMS}")


def _shown(given: object) -> str:
    """`given` as a person would want to see it in one line, however large or deep it is."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 60, 60
    short.maxdict, short.maxlist, short.maxtuple = 8, 24, 24
    return short.repr(given)


def _require_choice(name: str, given: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    if not given or not set(given) <= set(allowed) or tuple(sorted(set(given))) != given:
        listed = ", ".join(map(str, allowed))
        raise ConfigError(f"lite.{name} is {given}: choose one or more of {listed}, in rising order, each once")


def _require_member(what: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        listed = f"{allowed[0]} … {allowed[-1]}" if len(allowed) > 10 else ", ".join(map(str, allowed))
        raise ConfigError(f"{what} {_shown(value)}; this space has {listed}")


def _require_normalisation(given: Normalisation | None) -> None:
    if given is None:
        return
    mean, std = given
    if len(mean) != 3 or len(std) != 3 or not np.isfinite([*mean, *std]).all() or min(std) <= 0:
        raise ConfigError(
            f"lite.mean is {mean} and lite.std is {std}: each needs three numbers on the scale 0 … 1, by channel, and "
            "deviations are above 0"
        )
