"""The search space of the paper: once-for-all MobileNetV3 at widths 1.0 and 1.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from nat_mbv3.space import MobileNetV3Space


def mbv3(
    *,
    resolutions: Annotated[
        Sequence[int] | None, "input sides in pixels; none: steps of 4 from 3/4 of the picture side, as 192 … 256"
    ] = None,
    widths: Annotated[Sequence[float], "width multipliers: each is a supernet of its own"] = (1.0, 1.2),
    kernels: Annotated[Sequence[int], "kernel sizes, of 3, 5, 7"] = (3, 5, 7),
    expands: Annotated[Sequence[int], "expansion ratios, of 3, 4, 6"] = (3, 4, 6),
    depths: Annotated[Sequence[int], "layers in a stage, of 2, 3, 4"] = (2, 3, 4),
    classes: Annotated[int, "outputs of the classifier"] = 1000,
    image_size: Annotated[int | None, "side of the data's pictures, for the default resolutions"] = None,
    weights: Annotated[
        str | Mapping[str, str] | None,
        "checkpoint: ofa, the published supernets, downloaded once; a path, or one for each width; none: random",
    ] = None,
    seed: Annotated[int, "of the random weights"] = 0,
) -> MobileNetV3Space:
    """The MobileNetV3 space of Neural Architecture Transfer: 22 variables, 7.4e20 networks."""
    from nat_mbv3.space import MobileNetV3Space, PretrainedSpace, resolutions_for

    return (MobileNetV3Space if weights is None else PretrainedSpace)(
        resolutions=resolutions_for(256 if image_size is None else image_size)
        if resolutions is None
        else tuple(resolutions),
        widths=tuple(widths),
        kernels=tuple(kernels),
        expands=tuple(expands),
        depths=tuple(depths),
        classes=classes,
        weights=weights,
        seed=seed,
    )


@hookimpl
def register_search_spaces() -> Mapping[str, Callable[..., MobileNetV3Space]]:
    """The space `mbv3`."""
    return {"mbv3": mbv3}
