"""What an architecture is made of, with exact costs in closed form: every operator the space can make, and a look-up.

Multiply-accumulates are those of convolutions (squeeze-and-excitation's included) and linear layers. Parameters are all
weights and biases and the affine batch-norm terms. The names are those of NSGANetV2's published latency tables; the
aliases those of once-for-all's, which write hidden channels in place of the ratio, and "same" padding's halves.

Peaks are of an executor that folds batch normalisation, works in place where each output needs one input alone, and
frees a map once nothing needs it: the input of a layer with a shortcut stays to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    first = f"Conv-input:{side}x{side}x3-output:{half}x{half}x{c[0]}"
    stem = _convolution(f"first_conv-input:{side}x{side}x3", 3, c[0], 3, half)
    yield 0, 0, replace(stem, peak=3 * side**2 + c[0] * half**2, aliases=((first,),))
    yield 1, 0, _mobile(c[0], c[1], half, Layer(kernel=3, expand=1), Stage(1, False, False), 1)
    side = half
    for g, stage in enumerate(STAGES):
        for j in range(MAX_DEPTH):
            stride = stage.stride if j == 0 else 1
            for code, layer in codes.items():
                yield 2 + MAX_DEPTH * g + j, code, _mobile(c[g + 1 + (j > 0)], c[g + 2], side, layer, stage, stride)
            side = _half(side) if stride == 2 else side
    last = _convolution(f"final_expand_layer-input:{side}x{side}x{c[6]}", c[6], c[7], 1, side)
    size = f"{side}x{side}x"
    theirs = f"Conv_1-input:{size}{c[6]}-output:{size}{c[7]}", f"AvgPool2D-input:{size}{c[7]}-output:1x1x{c[7]}"
    yield 22, 0, replace(last, peak=(c[6] + c[7]) * side**2, aliases=(theirs,))
    mix, shape = c[7] * c[8], f"input:1x1x{c[7]}-output:1x1x{c[8]}"
    yield 23, 0, Operator(f"feature_mix_layer-{shape}", mix, mix, c[7] + c[8], ((f"Conv_2-{shape}",),))
    name, theirs_too = f"classifier-input:{c[8]}-output:{classes}", f"Logits-input:1x1x{c[8]}-output:{classes}"
    yield 24, 0, Operator(name, c[8] * classes, (c[8] + 1) * classes, c[8] + classes, ((theirs_too,),))


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
    shortcut = stride == 1 and c_in == c_out
    shapes = f"input:{side}x{side}x{c_in}-output:{out}x{out}x{c_out}"
    rest = f"kernel:{layer.kernel}-stride:{stride}-idskip:{int(shortcut)}-se:{int(stage.squeeze_excite)}"
    theirs = f"expanded_conv-{shapes}-expand:{mid}-{rest}-hs:{int(stage.hard_swish)}"
    peak = inverted_residual_peak(c_in * side**2, mid * side**2, mid * out**2, c_out * out**2, shortcut=shortcut)
    name = f"MBConv-{shapes}-expand:{layer.expand}-{rest}"
    return Operator(name, macs, params, peak if expand else _peak_without_expansion(c_in, c_out, side), ((theirs,),))


def inverted_residual_peak(entered: int, expanded: int, filtered: int, left: int, *, shortcut: bool) -> int:
    """Activations alive at once in expansion, depthwise convolution and projection, given the sizes of their maps.

    A squeeze-and-excitation scales in place, and its own maps of one pixel are left out.
    """
    kept = entered if shortcut else 0
    return max(entered + expanded, kept + expanded + filtered, kept + filtered + left)


def _peak_without_expansion(c_in: int, c_out: int, side: int) -> int:
    """The first layer: its input is the depthwise convolution's, and stays where there is a shortcut."""
    kept = c_in if c_in == c_out else 0
    return max(2 * c_in, kept + c_in + c_out) * side**2


def _half(side: int) -> int:
    return (side + 1) // 2
