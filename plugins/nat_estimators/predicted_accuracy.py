"""Once-for-all's published predictor of ImageNet accuracy: a small network instead of pictures.

It belongs with the supernet of width 1.2 (Cai et al., ICLR 2020; file ofa/acc_predictor.pth of han-cai/files). Its
targets were accuracies on 10,000 images held out of ImageNet's training set, about four points above validation: it
ranks architectures, and its values are too good.

A row of its input, (128,), for layer i = 4 · stage + position, all zero where the layer is skipped:

    0 +   3 · i + k     kernel 3, 5 or 7 is k = 0, 1, 2
    60 +  3 · i + e     expansion 3, 4 or 6 is e = 0, 1, 2
    120 + (r - 112)/16  input side r of 112, 128 … 224
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nat_core.contracts import Measurement, SearchSpace
from nat_core.encoding import Encodings, Values, Variable
from nat_core.errors import ConfigError
from nat_core.tensors import parse

WIDTH, RESOLUTIONS = 1.2, (160, 176, 192, 208, 224)  # smaller sides are outside what it was trained on
LAYERS, SKIP, INPUTS = 20, 0, 128
NAMES = ("resolution", "width", *(f"stage{g + 1}.layer{j + 1}" for g in range(5) for j in range(4)))
SHAPES = {
    f"{layer}.{kind}": shape
    for layer, n_out, n_in in ((0, 400, INPUTS), (2, 400, 400), (4, 400, 400), (6, 1, 400))
    for kind, shape in (("weight", (n_out, n_in)), ("bias", (n_out,)))
}
_NOWHERE = INPUTS  # a column that is cut off again

Weights = Mapping[str, NDArray[np.float64]]


class OFAPredictor:
    """Top-1 error on ImageNet, 0 … 1, as predicted. Measures no picture."""

    def __init__(self, space: SearchSpace, weights: str) -> None:
        self.space = space
        self._columns = tuple(_columns(space))
        self._weights, self.fingerprint = read(weights)

    def __call__(self, X: Encodings) -> list[Measurement]:
        """One minus the predicted accuracy."""
        return [
            Measurement(value) if math.isfinite(value) else Measurement(value, "the prediction is not finite")
            for value in (1.0 - self.accuracy(X)).tolist()
        ]

    def accuracy(self, X: Encodings) -> Values:
        """The predicted accuracy of rows X, (n,)."""
        hidden = self.inputs(X)
        for layer in (0, 2, 4):
            hidden = np.maximum(hidden @ self._weights[f"{layer}.weight"].T + self._weights[f"{layer}.bias"], 0.0)
        accuracy: Values = (hidden @ self._weights["6.weight"].T + self._weights["6.bias"])[:, 0]
        return accuracy

    def inputs(self, X: Encodings) -> NDArray[np.float64]:
        """What the network is given for rows X, (n, 128): ones and zeros."""
        found = np.zeros((len(X), INPUTS + 1))
        for choices, columns in zip(self.space.canonicalize(X).T, self._columns, strict=True):
            np.put_along_axis(found, columns[choices], 1.0, axis=1)
        return found[:, :INPUTS]


def _columns(space: SearchSpace) -> Iterator[NDArray[np.int64]]:
    """For each variable the columns that each of its choices sets, (n_choices, 1 or 2)."""
    if tuple(v.name for v in space.variables) != NAMES:
        raise ConfigError(
            f"ofa-predictor knows the architectures of the space mbv3 alone, and this is a {type(space).__name__}"
        )
    resolution, width, *layers = space.variables
    if width.choices != (WIDTH,) or not set(resolution.choices) <= set(RESOLUTIONS):
        sides = ",".join(map(str, RESOLUTIONS))
        raise ConfigError(
            f"ofa-predictor was trained on width {WIDTH} and resolutions of {sides}, and the space has width "
            f"{_listed(width.choices)} and resolution {_listed(resolution.choices)}: "
            f"set -s mbv3.widths={WIDTH} -s mbv3.resolutions={sides}"
        )
    yield 120 + (_integers(resolution)[:, None] - 112) // 16
    yield np.array([[_NOWHERE]])
    for i, variable in enumerate(layers):
        yield np.array([_layer(i, code) for code in _integers(variable).tolist()])


def _integers(variable: Variable) -> NDArray[np.int64]:
    return np.array(variable.choices, dtype=np.int64)


def _layer(i: int, code: int) -> tuple[int, int]:
    """The columns of a layer with a code of the space: 0, or 1 + kernel index + 3 · expansion index."""
    if code == SKIP:
        return _NOWHERE, _NOWHERE
    expand, kernel = divmod(code - 1, 3)
    return 3 * i + kernel, 3 * LAYERS + 3 * i + expand


def read(name: str) -> tuple[Weights, str]:
    """The weights in a file, and its sha256. Raises `ConfigError` for anything but this network, and runs nothing."""
    try:
        file = Path(name).expanduser()
        content = file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # also ~nobody, and what cannot be a name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read ofa-predictor.weights={name!r}: {reason}") from error
    tensors = parse(content, file)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != SHAPES:
        wrong = [f"{n} is {shapes.get(n, 'absent')}, not {s}" for n, s in SHAPES.items() if shapes.get(n) != s]
        wrong += [f"{n!r} is unknown" for n in shapes if n not in SHAPES]
        raise ConfigError(f"{file} is no accuracy predictor of 128-400-400-400-1: {'; '.join(wrong[:5])}")
    weights = {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}
    if bad := [name for name, values in weights.items() if not np.isfinite(values).all()]:
        raise ConfigError(f"{file}: {', '.join(bad)} holds values that are not finite")
    return weights, hashlib.sha256(content).hexdigest()


def _listed(choices: Sequence[object]) -> str:
    return ", ".join(map(str, choices)) if len(choices) <= 6 else f"{choices[0]} … {choices[-1]}"
