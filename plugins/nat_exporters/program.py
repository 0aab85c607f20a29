"""A network as an exported program whose constants are computed: what mobile runtimes can take over whole.

Networks of a supernet look at shapes, cut kernels that meet padding alone, and use 1×1 convolutions as matrices. A
program traced from them computes such weights anew for each picture, and a runtime that wants to have a layer's weights
before it begins leaves those layers to its slow path. Here every value that depends on weights alone becomes a weight.
"""

from __future__ import annotations

import operator
import warnings

import torch
from torch import Tensor, fx, nn

from nat_core.errors import ConfigError
from nat_core.folding import fold


def exported(network: nn.Module, images: Tensor, *, any_batch: bool = True) -> torch.export.ExportedProgram:
    """The network of images like these, (n, 3, side, side), for any n, or for the n that is shown."""
    shapes = ({0: torch.export.Dim("n")},) if any_batch else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own code
            return torch.export.export(network, (images,), dynamic_shapes=shapes)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"PyTorch cannot export this network ({type(error).__name__}: {reason:.300}); the format onnx does not "
            "need that"
        ) from error


def plain_program(network: nn.Module, images: Tensor, *, any_batch: bool = True) -> torch.export.ExportedProgram:
    """The same with batch normalisation folded away, in place, and with all constants computed."""
    fold(network)
    module = exported(network, images, any_batch=any_batch).module(check_guards=False)
    return exported(_with_constants(module), images, any_batch=any_batch)


@torch.no_grad()
def _with_constants(module: fx.GraphModule) -> fx.GraphModule:
    """A module that holds what its graph uses and nothing else, values of weights alone among it."""
    graph, known, computed = module.graph, dict[fx.Node, Tensor](), list[fx.Node]()
    for node in graph.nodes:
        if node.op == "get_attr":
            known[node] = operator.attrgetter(node.target)(module)
        elif node.op == "call_function" and node.all_input_nodes and all(n in known for n in node.all_input_nodes):
            args, kwargs = (fx.node.map_arg(a, lambda n: known[n]) for a in (node.args, node.kwargs))
            known[node] = node.target(*args, **kwargs).contiguous()
            computed.append(node)
    for i, node in enumerate(n for n in computed if any(user not in known for user in n.users)):
        module.register_buffer(f"computed_{i}", known[node].detach().clone())
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.get_attr(f"computed_{i}"))
    graph.eliminate_dead_code()
    return fx.GraphModule(module, graph)  # copies what the graph uses
