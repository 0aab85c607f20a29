"""An ONNX graph in 8 bits: weights and activations, calibrated on training images.

Weights have a scale for each output channel: depthwise convolutions differ too much from channel to channel for one
scale (Nagel et al., 2019). Scales of activations are those of the least and largest value that calibration sees.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nat_core.extras import needed

_AT_ONCE = 32


def quantized(model: bytes, images: Tensor) -> bytes:
    """The graph with what converts between 8 bits and floats written into it (QDQ), which compilers then move away."""
    quantization = needed("onnxruntime.quantization", "the format int8", "onnx")
    preparation = needed("onnxruntime.quantization.shape_inference", "the format int8", "onnx")
    log = logging.getLogger()
    before = log.level
    with tempfile.TemporaryDirectory(prefix="nat-") as folder:
        plain, prepared, result = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        plain.write_bytes(model)
        log.setLevel(logging.ERROR)  # it warns through the root logger about its own steps
        try:
            preparation.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                result,
                _Images(images),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        finally:
            log.setLevel(before)
        return result.read_bytes()


class _Images:
    """Hands out batches of images (n, 3, side, side), as the quantiser asks for them."""

    def __init__(self, images: Tensor) -> None:
        array = images.contiguous().numpy()
        self._batches = iter([array[i : i + _AT_ONCE] for i in range(0, len(array), _AT_ONCE)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch; none after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}
