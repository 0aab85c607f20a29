"""What an architecture is made of, with exact costs in closed form: every operator the space can make, and a look-up.

Multiply-accumulates are those of convolutions (squeeze-and-excitation's included) and linear layers. Parameters are all
weights and biases and the affine batch-norm terms. The names are those of NSGANetV2's published latency tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Operator
from nat_mbv3.layout import MAX_DEPTH, STAGES, Layer, Stage, channels, expanded, squeezed

N_SLOTS = 25  # stem, first layer, 20 layers, final expand, feature mix, classifier
EMPTY = -1


@dataclass(frozen=True)
class OperatorTable:
    """`index[resolution, width, slot, code]` is a row of `operators`; the code of a fixed slot is 0."""

    operators: tuple[Operator, ...]
    index: NDArray[np.int64]


def tabulate(
    resolutions: tuple[int, ...], widths: tuple[float, ...], codes: dict[int, Layer], classes: int
) -> OperatorTable:
    """All operators of a space whose layer codes mean `codes`; code 0 is a skipped layer."""
    rows: dict[str, tuple[int, Operator]] = {}
    index = np.full((len(resolutions), len(widths), N_SLOTS, 10), EMPTY, dtype=np.int64)
    for i, resolution in enumerate(resolutions):
        for j, width in enumerate(widths):
            for slot, code, operator in _slots(resolution, width, codes, classes):
                row, _ = rows.setdefault(operator.name, (len(rows), operator))
                index[i, j, slot, code] = row
    return OperatorTable(tuple(operator for _, operator in rows.values()), index)


def _slots(side: int, width: float, codes: dict[int, Layer], classes: int) -> Iterator[tuple[int, int, Operator]]:
    """Every (slot, code, operator) at one resolution and width."""
    c = channels(width)
    half = _half(side)
    yield 0, 0, _convolution(f"first_conv-input:{side}x{side}x3", 3, c[0], 3, half)
    yield 1, 0, _mobile(c[0], c[1], half, Layer(kernel=3, expand=1), Stage(1, False, False), 1)
    side = half
    for g, stage in enumerate(STAGES):
        for j in range(MAX_DEPTH):
            stride = stage.stride if j == 0 else 1
            for code, layer in codes.items():
                yield 2 + MAX_DEPTH * g + j, code, _mobile(c[g + 1 + (j > 0)], c[g + 2], side, layer, stage, stride)
            side = _half(side) if stride == 2 else side
    yield 22, 0, _convolution(f"final_expand_layer-input:{side}x{side}x{c[6]}", c[6], c[7], 1, side)
    mix = c[7] * c[8]
    yield 23, 0, Operator(f"feature_mix_layer-input:1x1x{c[7]}-output:1x1x{c[8]}", mix, mix)
    yield 24, 0, Operator(f"classifier-input:{c[8]}-output:{classes}", c[8] * classes, (c[8] + 1) * classes)


def _convolution(name: str, c_in: int, c_out: int, kernel: int, side: int) -> Operator:
    weights = c_in * c_out * kernel * kernel
    return Operator(f"{name}-output:{side}x{side}x{c_out}", weights * side * side, weights + 2 * c_out)


def _mobile(c_in: int, c_out: int, side: int, layer: Layer, stage: Stage, stride: int) -> Operator:
    out, mid = (_half(side) if stride == 2 else side), expanded(c_in, layer.expand)
    kernel, squeeze = mid * layer.kernel**2, squeezed(mid) if stage.squeeze_excite else 0
    expand = c_in * mid if layer.expand > 1 else 0
    macs = expand * side**2 + (kernel + mid * c_out) * out**2 + 2 * mid * squeeze
    params = expand + kernel + mid * c_out + 2 * (mid * (2 if expand else 1) + c_out)
    params += 2 * mid * squeeze + mid + squeeze if squeeze else 0
    name = (
        f"MBConv-input:{side}x{side}x{c_in}-output:{out}x{out}x{c_out}-expand:{layer.expand}-kernel:{layer.kernel}"
        f"-stride:{stride}-idskip:{int(stride == 1 and c_in == c_out)}-se:{int(stage.squeeze_excite)}"
    )
    return Operator(name, macs, params)


def _half(side: int) -> int:
    return (side + 1) // 2
