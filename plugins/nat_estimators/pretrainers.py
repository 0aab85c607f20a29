"""The pretrainers' options: `sandwich` and `progressive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nat_core.contracts import Dataset, SupernetSpace

if TYPE_CHECKING:
    from nat_estimators.accuracy import Top1Error
    from nat_estimators.pretraining import SupernetTraining
    from nat_estimators.schedule import Schedule


def sandwich(
    space: SupernetSpace,
    data: Dataset,
    *,
    epochs: Annotated[int, "over the training images, in one cosine"] = 100,
    networks: Annotated[int, "networks beside the largest and the smallest in a step"] = 2,
    distillation: Annotated[float, "weight of the largest network's answers in the loss of the others, 0 … 1"] = 1.0,
    batch_size: Annotated[int, "training images in a step"] = 96,
    learning_rate: Annotated[float, "at the start of the cosine"] = 0.05,
    momentum: Annotated[float, "of SGD, Nesterov's"] = 0.9,
    weight_decay: Annotated[float, "of all weights"] = 4e-5,
    label_smoothing: Annotated[float, "share of the target given to all classes"] = 0.1,
    ema: Annotated[float, "decay of an average of an epoch's weights, which the next goes on from; 0: none"] = 0.0,
    randaugment: Annotated[int, "magnitude of two random operations on each picture, 0 … 30; 0: none"] = 0,
    mixup: Annotated[float, "alpha of the mixing of two pictures; 0: none"] = 0.0,
    cutmix: Annotated[float, "alpha of pasting a part of another picture; 0: none"] = 0.0,
    mixed: Annotated[float, "share of the steps whose pictures are mixed or pasted"] = 0.5,
    training_precision: Annotated[str, "fp32, or by autocast bf16 or fp16"] = "fp32",
    rollbacks: Annotated[int, "of a loss that is not finite, each to half the rate, before the epoch fails"] = 3,
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
    seed: Annotated[int, "of augmentation and of the networks drawn"] = 0,
) -> SupernetTraining:
    """The sandwich rule: each step trains the largest network, which teaches the smallest and some between."""
    from nat_estimators.pretraining import SupernetTraining, sandwich_phases
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
        part="sandwich",
    )
    estimator = _estimator(space, data, schedule, device, threads)
    return SupernetTraining(estimator, sandwich_phases(space, epochs, networks, distillation))


def progressive(
    space: SupernetSpace,
    data: Dataset,
    *,
    largest_epochs: Annotated[int, "of the largest network alone, before anything shrinks"] = 60,
    phase_epochs: Annotated[int, "of each later phase: kernels, then depths, then expansions"] = 20,
    networks: Annotated[int, "networks in a step of the later phases"] = 2,
    pace: Annotated[float, "learning rate of the later phases, as a share of the first one's"] = 0.3,
    distillation: Annotated[float, "weight of the largest network's answers in the loss of the others, 0 … 1"] = 0.5,
    batch_size: Annotated[int, "training images in a step"] = 96,
    learning_rate: Annotated[float, "at the start of each phase's cosine"] = 0.05,
    momentum: Annotated[float, "of SGD, Nesterov's"] = 0.9,
    weight_decay: Annotated[float, "of all weights"] = 4e-5,
    label_smoothing: Annotated[float, "share of the target given to all classes"] = 0.1,
    ema: Annotated[float, "decay of an average of an epoch's weights, which the next goes on from; 0: none"] = 0.0,
    randaugment: Annotated[int, "magnitude of two random operations on each picture, 0 … 30; 0: none"] = 0,
    mixup: Annotated[float, "alpha of the mixing of two pictures; 0: none"] = 0.0,
    cutmix: Annotated[float, "alpha of pasting a part of another picture; 0: none"] = 0.0,
    mixed: Annotated[float, "share of the steps whose pictures are mixed or pasted"] = 0.5,
    training_precision: Annotated[str, "fp32, or by autocast bf16 or fp16"] = "fp32",
    rollbacks: Annotated[int, "of a loss that is not finite, each to half the rate, before the epoch fails"] = 3,
    device: Annotated[str, "cpu, cuda, or auto: cuda where there is one"] = "auto",
    threads: Annotated[int, "processor threads of torch; 0: as many as it takes by itself"] = 0,
    seed: Annotated[int, "of augmentation and of the networks drawn"] = 0,
) -> SupernetTraining:
    """Once-for-all's progressive shrinking: the largest network first, then smaller kernels, depths and widths."""
    from nat_estimators.pretraining import SupernetTraining, shrinking_phases
    from nat_estimators.schedule import Recipe, Schedule

    phases = shrinking_phases(space, largest_epochs, phase_epochs, networks, pace, distillation)
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
        part="progressive",
    )
    estimator = _estimator(space, data, schedule, device, threads)
    return SupernetTraining(estimator, phases)


def _estimator(space: SupernetSpace, data: Dataset, schedule: Schedule, device: str, threads: int) -> Top1Error:
    """What holds the supernet, and measures it."""
    from nat_estimators.accuracy import Top1Error

    # by the plain network: two networks an epoch need no fast engine, nor one whose rounding may be taken for a fault
    return Top1Error(space, data, schedule, 2000, 128, device, threads, engine="plain")
