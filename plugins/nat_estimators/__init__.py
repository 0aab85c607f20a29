"""Costly objectives: the error of a subnet with the weights it inherits from the supernet, measured or predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl
from nat_core.contracts import Dataset, Engine, Estimator, Evaluator, FineTuner, Pretrainer, SearchSpace
from nat_estimators.alone import errors, finetune
from nat_estimators.pretrainers import progressive, sandwich
from nat_estimators.timing import timed

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
    largest_first: Annotated[float, "share of the warm-up in which the largest network learns alone"] = 0.0,
    training_side: Annotated[
        float, "side of the training pictures as a share of the network's own, to the nearest 8 pixels; 1: the same"
    ] = 1.0,
    draw: Annotated[str, "what is trained: marginals, networks like the archive's, or archive, its own"] = "marginals",
    whole_space: Annotated[float, "share of the networks trained that are drawn from the whole space instead"] = 0.0,
    sandwich: Annotated[int, "networks beside the largest and the smallest in a step; 0: one network a step"] = 0,
    ema: Annotated[float, "decay of an average of the weights, measured in their place; 0: none"] = 0.0,
    randaugment: Annotated[int, "magnitude of two random operations on each picture, 0 … 30; 0: none"] = 0,
    mixup: Annotated[float, "alpha of the mixing of two pictures; 0: none"] = 0.0,
    cutmix: Annotated[float, "alpha of pasting a part of another picture; 0: none"] = 0.0,
    mixed: Annotated[float, "share of the steps whose pictures are mixed or pasted"] = 0.5,
    training_precision: Annotated[str, "fp32, or by autocast bf16 or fp16"] = "fp32",
    rollbacks: Annotated[int, "of a loss that is not finite, each to half the rate, before the run fails"] = 3,
    recalibration_images: Annotated[int, "training images for the batch-norm statistics of a subnet"] = 2000,
    evaluation_batch: Annotated[int, "images measured at once"] = 128,
    engine: Annotated[str, "what runs the subnets: torch, openvino, onnxruntime, or plain: torch unfolded"] = "torch",
    precision: Annotated[str, "of measuring: fp32, bf16, or on cuda fp16"] = "fp32",
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
    seed: Annotated[int, "of augmentation and of the subnets drawn"] = 0,
) -> Top1Error:
    """Share of validation images whose most likely class is wrong, 0 … 1, with inherited and adapted weights."""
    from nat_estimators.accuracy import Top1Error
    from nat_estimators.schedule import Recipe, Schedule

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
        draw,
        sandwich,
        ema,
        training_precision,
        rollbacks,
        Recipe(randaugment, mixup, cutmix, mixed),
        largest_first,
        training_side,
        whole_space,
    )
    return Top1Error(space, data, schedule, recalibration_images, evaluation_batch, device, threads, engine, precision)


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


@hookimpl
def register_pretrainers() -> Mapping[str, Callable[..., Pretrainer]]:
    """`sandwich`, and once-for-all's `progressive` shrinking."""
    return {"sandwich": sandwich, "progressive": progressive}


@hookimpl
def register_finetuners() -> Mapping[str, Callable[..., FineTuner]]:
    """`finetune`."""
    return {"finetune": finetune}


@hookimpl
def register_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """`errors`: top-1 and top-5."""
    return {"errors": errors}


@hookimpl
def register_engines() -> Mapping[str, Callable[..., Engine]]:
    """`torch`, `openvino` and `onnxruntime`."""
    return {name: timed(name) for name in ("torch", "openvino", "onnxruntime")}
