"""A network as an ONNX graph, written from a recording of one forward pass.

A pass over two pictures is recorded operation by operation below autograd, where every branch that depends on a shape
has been taken. What depends on weights alone is computed on the spot and becomes a constant; what depends on the
pictures becomes a node. PyTorch's own exporters understand more and take 4 to 7 seconds a network of MobileNetV3's
size; this takes a tenth of a second, which decides whether a compiled network pays for 2,000 pictures.

The first dimension of what depends on the pictures has to be the picture's number: it is left free.

It stands in the engine because two plugins need it that may not import each other: the inference engines, and the
exporters of files. The engine itself never imports this module: it needs torch, and onnx.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nat_core.errors import ConfigError
from nat_core.folding import fold

OPSET, IR_VERSION = 17, 8  # of 2022: every runtime that is in use reads them
_RESHAPES = {"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten"}
_COPIES = {"clone", "contiguous", "alias", "detach", "_to_copy", "lift_fresh"}
_ELEMENTWISE = {"relu": "Relu", "hardswish": "HardSwish", "sigmoid": "Sigmoid", "tanh": "Tanh"}


class UntranslatedError(Exception):
    """An operation of a network that cannot be written as a node: its name."""


def onnx_graph(network: nn.Module, images: Tensor, advice: str) -> bytes:
    """The network, its batch normalisation folded away in place: by our recording, else by torch's own exporter.

    Raises `ConfigError`, ending in the advice, for a network that neither can write.
    """
    fold(network)
    network.to(memory_format=torch.contiguous_format)  # else layers add operations that only rearrange memory
    try:
        return onnx_model(network, images)
    except UntranslatedError as untranslated:
        return _exported(network, images, str(untranslated), advice)


def _exported(network: nn.Module, images: Tensor, operation: str, advice: str) -> bytes:
    """As torch exports it, which takes seconds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own code
            program = torch.onnx.export(
                network,
                (images[:2].clone(),),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("n")},),
                input_names=["images"],
                output_names=["logits"],
                verbose=False,
            )
        assert program is not None  # noqa: S101 - there is one with dynamo
        model: bytes = program.model_proto.SerializeToString()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"the network cannot be written as ONNX ({type(error).__name__}: {reason}), and {operation} has no "
            f"translation of our own: {advice}"
        ) from error
    return model


@torch.no_grad()
def onnx_model(network: nn.Module, images: Tensor) -> bytes:
    """The network of pictures like these as a serialised model: `images` (n, 3, side, side) → `logits` (n, n_classes).

    Raises `UntranslatedError` for an operation that is unknown here.
    """
    example = images[:2].clone(memory_format=torch.contiguous_format)
    recorder = Recorder(example)
    with recorder:
        logits = network(example)
    return recorder.model(logits)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what is computed from the pictures as nodes of a graph."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        onnx = importlib.import_module("onnx")
        self._helper, self._numpy_helper, self._float = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
        self._images = images
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._names: dict[int, str] = {id(images): "images"}  # of what depends on the pictures
        self._alive: list[Tensor] = [images]  # so that no later tensor gets the id of an earlier one

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute, and write down."""
        del types
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        if any(id(a) in self._names for a in _tensors(args)):
            result = results[0] if isinstance(results, tuple) else results
            name = func.overloadpacket.__name__
            node = self._translated(name if name in _COPIES | _RESHAPES else name.rstrip("_"), result, args, kwargs)
            self._names[id(result)] = node
            self._alive.append(result)
        return results

    def model(self, logits: Tensor) -> bytes:
        """What was recorded, with these logits as the output."""
        if id(logits) not in self._names:
            raise UntranslatedError("logits that do not depend on the pictures")
        helper = self._helper
        nodes = [*self._nodes, helper.make_node("Identity", [self._names[id(logits)]], ["logits"])]
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("images", self._float, ["n", *self._images.shape[1:]])],
            [helper.make_tensor_value_info("logits", self._float, ["n", *logits.shape[1:]])],
            list(self._constants.values()),
        )
        opset = helper.make_opsetid("", OPSET)
        model: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
        return model

    def node(self, kind: str, *inputs: object, **attributes: object) -> str:
        """Add a node; its inputs are names, tensors or numbers. The name of its output."""
        output = f"v{len(self._nodes)}"
        names = [i if isinstance(i, str) else self._name(i) for i in inputs]
        self._nodes.append(self._helper.make_node(kind, names, [output], **attributes))
        return output

    def _name(self, value: object) -> str:
        """Of a recorded tensor, or of a new constant."""
        if isinstance(value, Tensor) and id(value) in self._names:
            return self._names[id(value)]
        tensor = value if isinstance(value, Tensor) else torch.tensor(value)
        if tensor.dim() == 0:
            tensor = tensor.float()  # a number of an expression; lists are shapes, and stay integers
        if tensor.is_floating_point():
            tensor = tensor.float()
        name = f"c{len(self._constants)}"
        array = tensor.detach().cpu().contiguous().numpy()
        self._constants[name] = self._numpy_helper.from_array(array, name)
        return name

    def _translated(self, name: str, result: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if name in _ELEMENTWISE:
            return self.node(_ELEMENTWISE[name], args[0])
        if name in _COPIES:
            return self._name(args[0])
        if name in _RESHAPES:
            return self.node("Reshape", args[0], [-1, *result.shape[1:]])
        if (translate := _TRANSLATIONS.get(name)) is None:
            raise UntranslatedError(name)
        return translate(self, *args, **kwargs)


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    """The tensors among arguments, also those in lists."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _convolution(
    r: Recorder,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,  # noqa: FBT001 - the operation's own order of arguments
    _output_padding: list[int],
    groups: int,
) -> str:
    if transposed:
        raise UntranslatedError("convolution, transposed")
    inputs = (x, weight) if bias is None else (x, weight, bias)
    shape = {"strides": stride, "pads": [*padding, *padding], "dilations": dilation, "group": groups}
    return r.node("Conv", *inputs, **shape)


def _batch_norm(
    r: Recorder,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    training: bool,  # noqa: FBT001 - the operation's own order of arguments
    _momentum: float,
    eps: float,
) -> str:
    if training:
        raise UntranslatedError("native_batch_norm by the statistics of the batch")
    weight = torch.ones_like(mean) if weight is None else weight
    bias = torch.zeros_like(mean) if bias is None else bias
    return r.node("BatchNormalization", x, weight, bias, mean, var, epsilon=eps)


def _mean(r: Recorder, x: Tensor, axes: list[int], keepdim: bool = False) -> str:  # noqa: FBT001, FBT002 - as aten's
    axes = [axis % x.dim() for axis in axes]
    if keepdim and x.dim() == 4 and sorted(axes) == [2, 3]:
        return r.node("GlobalAveragePool", x)
    return r.node("ReduceMean", x, axes=axes, keepdims=int(keepdim))


def _addmm(r: Recorder, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1.0, alpha: float = 1.0) -> str:
    return r.node("Gemm", a, b, bias, alpha=float(alpha), beta=float(beta))


def _sum(r: Recorder, a: object, b: object, *, alpha: float = 1.0) -> str:
    return r.node("Add", a, b if alpha == 1 else r.node("Mul", b, float(alpha)))


def _clip(r: Recorder, x: Tensor, least: float = -1.0, most: float = 1.0) -> str:
    return r.node("Clip", x, float(least), float(most))


def _pad(r: Recorder, x: Tensor, padding: list[int], value: float = 0.0) -> str:
    """Torch counts pairs from the last dimension, ONNX all beginnings and then all ends."""
    pairs = [(0, 0)] * (x.dim() - len(padding) // 2)
    pairs += [(padding[i], padding[i + 1]) for i in range(len(padding) - 2, -1, -2)]
    return r.node("Pad", x, [p[0] for p in pairs] + [p[1] for p in pairs], float(value))


def _gated(gate: str, **attributes: float) -> Callable[[Recorder, Tensor], str]:
    """The input times a function of x."""
    return lambda r, x: r.node("Mul", x, r.node(gate, x, **attributes))


_TRANSLATIONS: dict[str, Callable[..., str]] = {
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
    "mean": _mean,
    "addmm": _addmm,
    "mm": lambda r, a, b: r.node("MatMul", a, b),
    "add": _sum,
    "addcmul": lambda r, x, a, b, *, value=1.0: _sum(r, x, r.node("Mul", a, b), alpha=value),
    "mul": lambda r, a, b: r.node("Mul", a, b),
    "cat": lambda r, parts, axis=0: r.node("Concat", *parts, axis=axis),
    "hardtanh": _clip,
    "constant_pad_nd": _pad,
    "hardsigmoid": lambda r, x: r.node("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "silu": _gated("Sigmoid"),
    "mish": lambda r, x: r.node("Mul", x, r.node("Tanh", r.node("Softplus", x))),
}
