"""Formats that PyTorch itself runs. None of them is a pickle of ours: each is written by its format's own function."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nat_core.folding import fold
from nat_exporters.listing import listing
from nat_exporters.program import exported, plain_program

_RUN = """
    def answer(images):
        with torch.inference_mode():
            return {call}.numpy()

    return answer
"""
_LOAD = '''
def load(threads=0):
    """The network as a function: float32 images (n, 3, side, side) -> logits (n, classes)."""
    if threads:
        torch.set_num_threads(threads)
'''


@dataclass(frozen=True)
class StateDict:
    """Weights under the names that the supernet has for them, and the network's source."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    precision: ClassVar[str] = "fp32"
    n_images: ClassVar[int] = 2
    batch: ClassVar[int] = 0
    script: ClassVar[str] = (
        "import torch\nfrom safetensors.torch import load_file\n\nfrom network import network  # beside this file\n\n"
        + _LOAD
        + '    weights = load_file(HERE / "model.safetensors")\n'
        + _RUN.format(call="network(weights, torch.from_numpy(images))")
    )

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.safetensors` and `network.py`."""
        from safetensors.torch import save

        program = exported(network, images[:2])
        weights = {name: t.detach().contiguous() for name, t in (program.state_dict | program.constants).items()}
        return {"model.safetensors": save(weights), "network.py": listing(program).encode()}


@dataclass(frozen=True)
class ExportedProgram:
    """What `torch.export.save` writes."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)
    precision: ClassVar[str] = "fp32"
    n_images: ClassVar[int] = 2
    batch: ClassVar[int] = 0
    script: ClassVar[str] = (
        "import torch\n\n"
        + _LOAD
        + '    network = torch.export.load(HERE / "model.pt2").module()\n'
        + _RUN.format(call="network(torch.from_numpy(images))")
    )

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.pt2`."""
        stream = io.BytesIO()
        torch.export.save(plain_program(network, images[:2]), stream)
        return {"model.pt2": stream.getvalue()}


@dataclass(frozen=True)
class TorchScript:
    """What `torch.jit.save` writes."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)
    precision: ClassVar[str] = "fp32"
    n_images: ClassVar[int] = 2
    batch: ClassVar[int] = 0
    script: ClassVar[str] = (
        "import warnings\n\nimport torch\n\n"
        'warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # it is deprecated\n'
        "\n"
        + _LOAD
        + '    network = torch.jit.load(str(HERE / "model.pt"))\n'
        + _RUN.format(call="network(torch.from_numpy(images))")
    )

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """`model.pt`."""
        fold(network)
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is deprecated, and that shapes become constants: they are
            traced = torch.jit.trace(network, images[:2], check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(torch.jit.freeze(traced), stream)
        return {"model.pt": stream.getvalue()}
