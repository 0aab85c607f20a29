"""A small network that stands alone, as OFA and NAT publish them: its `net.config`, and its weights by their names."""

from __future__ import annotations

from nat_mbv3.layout import Layer, Layout

SMALL = Layout(1.0, ((Layer(3, 3), Layer(5, 4)),) * 5)


def config_of(layout, n_classes=7):
    """A `net.config` as OFA writes it."""
    from nat_mbv3.net_config import NetConfig, _blocks

    found = NetConfig(layout, 32, n_classes, mish=False, epsilon=1e-5)
    blocks = []
    for facts in _blocks(found):
        same = facts["stride"] == 1 and facts["in_channels"] == facts["out_channels"]
        blocks.append({"mobile_inverted_conv": dict(facts), "shortcut": {"name": "IdentityLayer"} if same else None})
    ends = {"first_conv": (3, 16), "final_expand_layer": (160, 960), "feature_mix_layer": (960, 1280)}
    layers = {n: {"in_channels": i, "out_channels": o, "act_func": "h_swish"} for n, (i, o) in ends.items()}
    head = {"in_features": 1280, "out_features": n_classes}
    return {"name": "NATNet", "img_size": 32, "bn": {"eps": 1e-5}, "blocks": blocks, "classifier": head, **layers}


def published_names(state):
    """Our names → NAT's."""
    fixed = {
        "stem.": "first_conv.",
        "first.depthwise.": "blocks.0.mobile_inverted_conv.depth_conv.",
        "first.project.": "blocks.0.mobile_inverted_conv.point_linear.",
        "final_expand.": "final_expand_layer.",
        "feature_mix.": "feature_mix_layer.conv.",
        "classifier.": "classifier.linear.",
    }
    parts = {
        "expand": "inverted_bottleneck",
        "depthwise": "depth_conv",
        "se": "depth_conv.se.fc",
        "project": "point_linear",
    }
    found = {}
    for name, tensor in state.items():
        if name.startswith("stages."):
            _, stage, layer, part, rest = name.split(".", 4)
            name = f"blocks.{1 + 2 * int(stage) + int(layer)}.mobile_inverted_conv.{parts[part]}.{rest}"  # noqa: PLW2901
        for ours, theirs in fixed.items():
            name = theirs + name.removeprefix(ours) if name.startswith(ours) else name  # noqa: PLW2901
        found[name] = tensor
    return found
