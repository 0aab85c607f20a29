"""Whether an engine computes what the plain network computes."""

from __future__ import annotations

import torch
from torch import Tensor

from nat_core.errors import ConfigError

# In fp32 engines differ by the order of their sums alone, by about 1e-6, which some random networks magnify a
# hundredfold. bf16 keeps 8 bits: 0.2 apart was seen of networks with random weights. A wrong translation is about 1.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.5, "fp16": 0.1}
TOLERANCE_CUDA = TOLERANCE | {"fp32": 0.02}  # convolutions in TF32 keep 10 bits


def difference(plain: Tensor, logits: Tensor) -> float:
    """The root mean square of the difference of two batches of logits (n, n_classes), as a share of the plain ones'."""
    if plain.shape != logits.shape:
        return float("inf")
    size = plain.square().mean().sqrt().clamp_min(torch.finfo(plain.dtype).tiny)
    return float((plain - logits).square().mean().sqrt() / size)


def require_parity(name: str, precision: str, plain: Tensor, logits: Tensor) -> None:
    """Raise `ConfigError` where an engine's logits are further from the plain network's than rounding explains."""
    tolerance = (TOLERANCE_CUDA if plain.device.type == "cuda" else TOLERANCE)[precision]
    found = difference(plain, logits)
    if not found <= tolerance:  # also where it is no number
        raise ConfigError(
            f"the engine {name} in {precision} computes other logits than the network does in plain PyTorch: they "
            f"differ by {found:.2g} of their size, and {tolerance:g} is tolerated. Choose another precision, or "
            "another engine: --engine plain is the network itself"
        )
