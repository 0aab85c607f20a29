"""The `net.config` of a network that stands alone, as OFA and NAT publish them: JSON, every layer written out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nat_core.errors import ConfigError
from nat_mbv3.layout import MAX_DEPTH, STAGES, Layer, Layout, Stage, channels, expanded, lists
from nat_mbv3.space import EXPANDS, KERNELS, WIDTHS

_MOST_BYTES = 1 << 20  # the published ones have up to 18 KB
_SIDE = 224  # of a network that names none


@dataclass(frozen=True)
class NetConfig:
    """What a `net.config` says."""

    layout: Layout
    side: int  # of the input, in pixels
    n_classes: int
    mish: bool  # in place of every ReLU and hard swish
    epsilon: float  # of batch normalisation

    def describe(self) -> dict[str, object]:
        """OFA's dictionary over the live layers, which `MobileNetV3Space.parse` reads."""
        return {**lists(self.layout), "r": self.side, "w": self.layout.width}


def read_config(file: Path) -> NetConfig:
    """What a `net.config` says, every shape of it compared with this family's."""
    given = _json(file)
    try:
        layout = _layout(given)
        found = NetConfig(
            layout=layout,
            side=_whole(given.get("img_size", _SIDE)),
            n_classes=_whole(given["classifier"]["out_features"]),
            mish=given["first_conv"]["act_func"] == "mish",
            epsilon=float(given["bn"]["eps"]),
        )
        for what, value, wanted in _facts(given, found):
            if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
                raise ConfigError(
                    f"{file} is no network of this space: {what} is {value!r:.60}, and {wanted!r} is wanted"
                )
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{file} is no net.config of a MobileNetV3 as OFA and NAT write them ({reason:.200})"
        ) from error
    if found.side < 1 or found.n_classes < 1 or not 0 < found.epsilon < 1:
        raise ConfigError(
            f"{file} has img_size {found.side}, out_features {found.n_classes} and bn.eps {found.epsilon}: the first "
            "two have to be at least 1, and the last one small"
        )
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    try:
        given = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ConfigError(f"{file} is no net.config: a JSON object of at most {_MOST_BYTES:,} bytes is wanted")
    return given


def _layout(given: Mapping[str, Any]) -> Layout:
    """The layers of a config; a block belongs to the stage with its number of output channels."""
    by_stem = {channels(w)[0]: w for w in WIDTHS}
    width = by_stem[given["first_conv"]["out_channels"]]
    stage_of = {c: g for g, c in enumerate(channels(width)[2:7])}
    stages: list[list[Layer]] = [[] for _ in STAGES]
    for block in given["blocks"][1:]:
        layer = _convolution(block)
        chosen = Layer(_of(KERNELS, layer["kernel_size"]), _of(EXPANDS, layer["expand_ratio"]))
        stages[stage_of[layer["out_channels"]]].append(chosen)
    if not all(1 <= len(stage) <= MAX_DEPTH for stage in stages):
        raise ValueError(
            f"its stages have {', '.join(str(len(s)) for s in stages)} layers; 1 to {MAX_DEPTH} are wanted"
        )
    return Layout(width, tuple(tuple(stage) for stage in stages))


def _convolution(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a block; the older name of it is NAT's."""
    found: Mapping[str, Any] = block["mobile_inverted_conv" if "mobile_inverted_conv" in block else "conv"]
    return found


def _of(allowed: tuple[int, ...], value: object) -> int:
    if value not in allowed or isinstance(value, bool):
        raise ValueError(f"{value!r:.60} is none of {', '.join(map(str, allowed))}")
    return _whole(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.60} is no whole number")
    return value


def _facts(given: Mapping[str, Any], found: NetConfig) -> Iterator[tuple[str, object, object]]:
    """What is given and what a network of this layout has: (where, given, wanted)."""
    c = channels(found.layout.width)
    ends = {"first_conv": (3, c[0]), "final_expand_layer": (c[6], c[7]), "feature_mix_layer": (c[7], c[8])}
    for name, (c_in, c_out) in ends.items():
        yield f"{name}.in_channels", given[name]["in_channels"], c_in
        yield f"{name}.out_channels", given[name]["out_channels"], c_out
        yield f"{name}.act_func", given[name]["act_func"], "mish" if found.mish else "h_swish"
    yield "classifier.in_features", given["classifier"]["in_features"], c[8]
    wanted = list(_blocks(found))
    yield "the number of blocks", len(given["blocks"]), len(wanted)
    for i, (block, facts) in enumerate(zip(given["blocks"], wanted, strict=True)):
        layer = _convolution(block)
        for name, value in facts.items():
            if name != "mid_channels" or layer.get(name) is not None:  # which follows from the expansion ratio
                yield f"blocks.{i}.{name}", layer[name], value
        shortcut = facts["stride"] == 1 and facts["in_channels"] == facts["out_channels"]
        yield f"blocks.{i}.shortcut", block["shortcut"] is not None, shortcut


def _blocks(found: NetConfig) -> Iterator[dict[str, object]]:
    """The fixed first block, and one for each live layer, as a config has them."""
    c = channels(found.layout.width)
    yield _block(found, STAGES[0], (c[0], c[1]), 3, 1, 1)
    for g, stage in enumerate(STAGES):
        for j, layer in enumerate(found.layout.stages[g]):
            shape = c[g + 2] if j else c[g + 1], c[g + 2]
            yield _block(found, stage, shape, layer.kernel, layer.expand, 1 if j else stage.stride)


def _block(
    found: NetConfig, stage: Stage, shape: tuple[int, int], kernel: int, expand: int, stride: int
) -> dict[str, object]:
    return {
        "in_channels": shape[0],
        "out_channels": shape[1],
        "kernel_size": kernel,
        "expand_ratio": expand,
        "mid_channels": expanded(shape[0], expand),
        "stride": stride,
        "use_se": stage.squeeze_excite,
        "act_func": "mish" if found.mish else "h_swish" if stage.hard_swish else "relu",
    }
