"""The options of what deals with networks that stand alone: `finetune` and `errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nat_core.contracts import Dataset, SupernetSpace

if TYPE_CHECKING:
    from nat_estimators.finetuning import SubnetTraining
    from nat_estimators.measuring import Errors

Colours = tuple[float, float, float]


def finetune(
    space: SupernetSpace,
    data: Dataset,
    *,
    epochs: Annotated[int, "over the training images, in one cosine"] = 20,
    batch_size: Annotated[int, "training images in a step"] = 64,
    learning_rate: Annotated[float, "at the start of the cosine"] = 0.01,
    momentum: Annotated[float, "of SGD, Nesterov's"] = 0.9,
    weight_decay: Annotated[float, "of all weights"] = 4e-5,
    label_smoothing: Annotated[float, "share of the target given to all classes"] = 0.0,
    distillation: Annotated[float, "weight of the answers of the run's largest network in the loss, 0 … 1"] = 0.0,
    ema: Annotated[float, "decay of an average of an epoch's weights, which the next goes on from; 0: none"] = 0.0,
    randaugment: Annotated[int, "magnitude of two random operations on each picture, 0 … 30; 0: none"] = 0,
    mixup: Annotated[float, "alpha of the mixing of two pictures; 0: none"] = 0.0,
    cutmix: Annotated[float, "alpha of pasting a part of another picture; 0: none"] = 0.0,
    mixed: Annotated[float, "share of the steps whose pictures are mixed or pasted"] = 0.5,
    training_precision: Annotated[str, "fp32, or by autocast bf16 or fp16"] = "fp32",
    rollbacks: Annotated[int, "of a loss that is not finite, each to half the rate, before the epoch fails"] = 3,
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
    seed: Annotated[int, "of augmentation and of the order of the images"] = 0,
) -> SubnetTraining:
    """One network of a run, trained alone as a supernet is adapted; the run's largest network may teach it."""
    from nat_estimators.finetuning import PART, SubnetTraining
    from nat_estimators.schedule import Recipe, Schedule

    schedule = Schedule(
        0,
        0,
        batch_size,
        learning_rate,
        momentum,
        weight_decay,
        label_smoothing,
        distillation,
        seed,
        ema=ema,
        precision=training_precision,
        rollbacks=rollbacks,
        recipe=Recipe(randaugment, mixup, cutmix, mixed),
        part=PART,
    )
    return SubnetTraining(space, data, schedule, epochs, device, threads)


def errors(
    data: Dataset,
    *,
    batch_size: Annotated[int, "images measured at once"] = 64,
    mean: Annotated[Colours | None, "of red, green, blue in training, on the scale 0 … 1; none: of the data"] = None,
    std: Annotated[Colours | None, "the same for standard deviations"] = None,
    engine: Annotated[str, "what runs the network: torch, openvino, onnxruntime, or plain: torch unfolded"] = "torch",
    precision: Annotated[str, "fp32, bf16, or on cuda fp16"] = "fp32",
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
) -> Errors:
    """Shares of images classified wrongly, 0 … 1: top-1, and top-5 where there are six classes or more."""
    from nat_estimators.measuring import Errors

    return Errors(data, batch_size, mean or data.mean, std or data.std, engine, precision, device, threads)
