"""Formats that PyTorch itself runs. None of them is a pickle of ours: each is written by its format's own function."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nat_core.folding import fold
from nat_exporters.format import LOAD, Format
from nat_exporters.listing import listing
from nat_exporters.program import exported, plain_program

_SCRIPT = (
    "{imports}"
    + LOAD
    + """    if threads:
        torch.set_num_threads(threads)
    {opened}

    def answer(images):
        with torch.inference_mode():
            return {call}.numpy()

    return answer
"""
)


def state_dict() -> Format:
    """Weights under the names that the supernet has for them, and the network's source."""
    imports = "import torch\nfrom safetensors.torch import load_file\n\nfrom network import network  # beside this file"
    script = _SCRIPT.format(
        imports=imports,
        opened='weights = load_file(HERE / "model.safetensors")',
        call="network(weights, torch.from_numpy(images))",
    )
    return Format(_state_dict, ("torch", "safetensors"), script)


def exported_program() -> Format:
    """What `torch.export.save` writes."""
    return Format(
        _exported_program, ("torch",), _script("import torch", 'torch.export.load(HERE / "model.pt2").module()')
    )


def torchscript() -> Format:
    """What `torch.jit.save` writes."""
    quiet = 'warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # it is deprecated'
    imports = f"import warnings\n\nimport torch\n\n{quiet}"
    return Format(_torchscript, ("torch",), _script(imports, 'torch.jit.load(str(HERE / "model.pt"))'))


def _script(imports: str, network: str) -> str:
    """Of what gives a module."""
    return _SCRIPT.format(imports=imports, opened=f"network = {network}", call="network(torch.from_numpy(images))")


def _state_dict(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
    from safetensors.torch import save

    program = exported(network, images[:2])
    weights = {name: t.detach().contiguous() for name, t in (program.state_dict | program.constants).items()}
    return {"model.safetensors": save(weights), "network.py": listing(program).encode()}


def _exported_program(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
    stream = io.BytesIO()
    torch.export.save(plain_program(network, images[:2]), stream)
    return {"model.pt2": stream.getvalue()}


def _torchscript(network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
    fold(network)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated, and that shapes become constants: they are
        traced = torch.jit.trace(network, images[:2], check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(traced), stream)
    return {"model.pt": stream.getvalue()}
