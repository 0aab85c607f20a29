"""ExecuTorch, PyTorch's runtime for phones and smaller things, with the kernels of XNNPACK."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from nat_core.extras import needed
from nat_exporters.program import plain_program

_PARTITIONER = "executorch.backends.xnnpack.partition.xnnpack_partitioner"


@dataclass(frozen=True)
class ExecuTorch:
    """One file, `model.pte`: one image (1, 3, side, side) → logits (1, n_classes)."""

    packages: ClassVar[tuple[str, ...]] = ("executorch", "torch")
    precision: ClassVar[str] = "fp32"
    n_images: ClassVar[int] = 2
    batch: ClassVar[int] = 1
    script: ClassVar[str] = '''import torch
from executorch.runtime import Runtime


def load(threads=0):
    """The network as a function: float32 images (n, 3, side, side) -> logits (n, classes). It takes one at a time.

    ExecuTorch decides by itself how many threads to use.
    """
    program = Runtime.get().load_program(HERE / "model.pte")
    network = program.load_method("forward")
    return lambda images: np.concatenate([network.execute([torch.from_numpy(i[None])])[0].clone() for i in images])
'''

    def __post_init__(self) -> None:
        for module in ("executorch.exir", _PARTITIONER):
            needed(module, "the format executorch", "executorch")

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.pte`."""
        exir = needed("executorch.exir", "the format executorch", "executorch")
        xnnpack = needed(_PARTITIONER, "the format executorch", "executorch")
        program = plain_program(network, images[:1], any_batch=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own code
            lowered = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
            return {"model.pte": bytes(lowered.to_executorch().buffer)}
