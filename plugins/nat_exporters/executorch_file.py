"""ExecuTorch, PyTorch's runtime for phones and smaller things, with the kernels of XNNPACK."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from torch import Tensor, nn

from nat_core.extras import needed
from nat_exporters.format import LOAD, Format
from nat_exporters.program import plain_program

_SCRIPT = (
    "import torch\nfrom executorch.runtime import Runtime\n"
    + LOAD
    + """    # One image at a time; ExecuTorch decides by itself how many threads to use.
    program = Runtime.get().load_program(HERE / "model.pte")
    network = program.load_method("forward")
    return lambda images: np.concatenate([network.execute([torch.from_numpy(i[None])])[0].clone() for i in images])
"""
)


def executorch() -> Format:
    """One file, `model.pte`: one image (1, 3, side, side) → logits (1, n_classes)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own code, here and below
        exir, xnnpack = (
            needed(module, "the format executorch", "executorch")
            for module in ("executorch.exir", "executorch.backends.xnnpack.partition.xnnpack_partitioner")
        )

    def write(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        program = plain_program(network, images[:1], any_batch=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lowered = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
            return {"model.pte": bytes(lowered.to_executorch().buffer)}

    return Format(write, ("executorch", "torch"), _SCRIPT, batch=1)
