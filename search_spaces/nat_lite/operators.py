"""What an architecture is made of, with exact costs in closed form: every operator the space can make, and a look-up.

Multiply-accumulates are those of convolutions and linear layers. Parameters are all weights and biases and the affine
batch-norm terms. Peaks are of an executor that folds batch normalisation, works in place where each output needs one
input alone, and frees a map once nothing needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Operator
from nat_lite.layout import FIRST, HEAD, SLOTS, STAGES, STEM, Layer, half, inputs, stride

N_SLOTS = len(SLOTS) + 4  # stem, first layer, the layers, head, classifier
EMPTY = -1


@dataclass(frozen=True)
class OperatorTable:
    """`index[resolution, slot, code]` is a row of `operators`; the code of a fixed slot is 0."""

    operators: tuple[Operator, ...]
    index: NDArray[np.int64]


def tabulate(resolutions: tuple[int, ...], codes: Mapping[int, Layer], classes: int) -> OperatorTable:
    """All operators of a space whose layer codes mean `codes`; code 0 is a skipped layer."""
    rows: dict[str, tuple[int, Operator]] = {}
    index = np.full((len(resolutions), N_SLOTS, max(codes) + 1), EMPTY, dtype=np.int64)
    for i, resolution in enumerate(resolutions):
        for slot, code, operator in _slots(resolution, codes, classes):
            row, _ = rows.setdefault(operator.name, (len(rows), operator))
            index[i, slot, code] = row
    return OperatorTable(tuple(operator for _, operator in rows.values()), index)


def _slots(side: int, codes: Mapping[int, Layer], classes: int) -> Iterator[tuple[int, int, Operator]]:
    """Every (slot, code, operator) at one resolution."""
    out = half(side)
    yield 0, 0, replace(_convolution(f"stem-input:{side}x{side}x3", 3, STEM, 3, out), peak=3 * side**2 + STEM * out**2)
    yield 1, 0, _mobile(STEM, FIRST, out, Layer(kernel=3, expand=1), 1)
    side = out
    for slot, (g, j) in enumerate(SLOTS, start=2):
        for code, layer in codes.items():
            if layer.kernel <= STAGES[g].kernel:
                yield slot, code, _mobile(inputs(g, j), STAGES[g].channels, side, layer, stride(g, j))
        side = half(side) if stride(g, j) == 2 else side
    last = STAGES[-1].channels
    head = _convolution(f"head-input:{side}x{side}x{last}", last, HEAD, 1, side)
    yield N_SLOTS - 2, 0, replace(head, peak=(last + HEAD) * side**2)
    classifier = f"classifier-input:{HEAD}-output:{classes}"
    yield N_SLOTS - 1, 0, Operator(classifier, HEAD * classes, (HEAD + 1) * classes, HEAD + classes)


def _convolution(name: str, c_in: int, c_out: int, kernel: int, side: int) -> Operator:
    weights = c_in * c_out * kernel**2
    return Operator(f"{name}-output:{side}x{side}x{c_out}", weights * side**2, weights + 2 * c_out)


def _mobile(c_in: int, c_out: int, side: int, layer: Layer, stride: int) -> Operator:
    out, mid = (half(side) if stride == 2 else side), c_in * layer.expand
    kernel, expand = mid * layer.kernel**2, c_in * mid if layer.expand > 1 else 0
    macs = expand * side**2 + (kernel + mid * c_out) * out**2
    params = expand + kernel + mid * c_out + 2 * (mid * (2 if expand else 1) + c_out)
    name = (
        f"MBConv-input:{side}x{side}x{c_in}-output:{out}x{out}x{c_out}-expand:{layer.expand}-kernel:{layer.kernel}"
        f"-stride:{stride}-idskip:{int(stride == 1 and c_in == c_out)}-relu6"
    )
    kept = c_in * side**2 if stride == 1 and c_in == c_out else 0  # the shortcut's, to the end of the layer
    peak = max(kept + mid * side**2 + mid * out**2, kept + mid * out**2 + c_out * out**2)
    return Operator(name, macs, params, max(peak, (c_in + mid) * side**2) if expand else peak)
