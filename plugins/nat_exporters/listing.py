"""An exported program as Python source that needs torch alone: an operation a line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import InputKind

from nat_core.errors import ConfigError

_HEAD = '''"""The network as PyTorch's own operations: images (n, 3, side, side) -> logits (n, classes).

`weights` maps names to tensors, as in model.safetensors. Gradients reach them; batch normalisation is as in eval mode.
"""

from torch.ops import aten


def network(weights, images):
'''


def listing(program: torch.export.ExportedProgram) -> str:
    """The source of a function `network(weights, images)`."""
    return _HEAD + "".join(f"    {line}\n" for line in _lines(program))


def _lines(program: torch.export.ExportedProgram) -> Iterator[str]:
    kinds = {InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR}
    inputs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    names = dict[fx.Node, str]()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = inputs[node.name]
            names[node] = f"weights[{spec.target!r}]" if spec.kind in kinds else "images"
        elif node.op == "call_function":
            names[node] = f"x{sum(name.startswith('x') for name in names.values())}"
            given = [_text(a, names) for a in node.args]
            given += [f"{key}={_text(value, names)}" for key, value in node.kwargs.items()]
            yield f"{names[node]} = {_operation(node.target)}({', '.join(given)})"
        elif node.op == "output":
            (results,) = node.args
            yield f"return {names[results[0]]}"


def _operation(target: Any) -> str:
    """Such as `aten.conv2d`. Raises `ConfigError` for what is no operation of PyTorch's own library."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":  # noqa: SLF001 - the only name it has
        raise ConfigError(f"the network uses {target}, which has no source to list: choose another format, such as pt2")
    return str(target).removesuffix(".default")


def _text(value: Any, names: dict[fx.Node, str]) -> str:
    """An argument as source."""
    if isinstance(value, fx.Node):
        return names[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(v, names) for v in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"  # as the bound of a clamp: there is no literal for it
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise ConfigError(f"the network uses a {type(value).__name__}, which cannot be listed: choose another format")
