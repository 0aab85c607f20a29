"""Costly objectives: the error of a subnet with the weights it inherits from the supernet, measured or predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl
from nat_core.contracts import Dataset, Estimator, SearchSpace

if TYPE_CHECKING:
    from nat_estimators.accuracy import Top1Error
    from nat_estimators.predicted_accuracy import OFAPredictor


def top1_error(
    space: SearchSpace,
    data: Dataset,
    *,
    warmup_epochs: Annotated[int, "epochs of adaptation before the first measurement"] = 5,
    epochs: Annotated[int, "epochs of adaptation in each later iteration"] = 5,
    batch_size: Annotated[int, "training images in a step"] = 96,
    learning_rate: Annotated[float, "at the start of the one cosine over the run"] = 0.01,
    momentum: Annotated[float, "of SGD, Nesterov's"] = 0.9,
    weight_decay: Annotated[float, "of all weights"] = 4e-5,
    label_smoothing: Annotated[float, "share of the target given to all classes"] = 0.0,
    distillation: Annotated[float, "weight of the largest network's soft targets in the loss, 0 … 1"] = 0.0,
    largest: Annotated[float, "share of the steps that train the largest network instead of a drawn one"] = 0.0,
    recalibration_images: Annotated[int, "training images for the batch-norm statistics of a subnet"] = 2000,
    evaluation_batch: Annotated[int, "images measured at once"] = 128,
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
    seed: Annotated[int, "of augmentation and of the subnets drawn"] = 0,
) -> Top1Error:
    """Share of validation images whose most likely class is wrong, 0 … 1, with inherited and adapted weights."""
    from nat_estimators.accuracy import Top1Error
    from nat_estimators.adaptation import Schedule

    schedule = Schedule(
        warmup_epochs,
        epochs,
        batch_size,
        learning_rate,
        momentum,
        weight_decay,
        label_smoothing,
        distillation,
        seed,
        largest,
    )
    return Top1Error(space, data, schedule, recalibration_images, evaluation_batch, device, threads)


def ofa_predictor(
    space: SearchSpace,
    *,
    weights: Annotated[str, "acc_predictor.pth of once-for-all (han-cai/files on the Hugging Face hub, folder ofa)"],
) -> OFAPredictor:
    """Top-1 error on ImageNet as once-for-all's published network predicts it, for mbv3 at width 1.2. Needs no data."""
    from nat_estimators.predicted_accuracy import OFAPredictor

    return OFAPredictor(space, weights)


@hookimpl
def register_estimators() -> Mapping[str, Callable[..., Estimator]]:
    """`top1_error`, and a predictor that may stand in for it."""
    return {"top1_error": top1_error, "ofa-predictor": ofa_predictor}
