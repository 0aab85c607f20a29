"""What a plugin has to offer, as Protocols: no base class, nothing to inherit.

The contract tests in `nat_core.testing` check a plugin against these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nat_core.encoding import Architecture, Encodings, Objectives, Values, Variable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nat_core.archive import Archive

Progress = Callable[[str, int, int], None]  # what is going on, how many steps are done, of how many
Function = Callable[[Encodings], Values]  # an objective: X (n, n_variables) → y (n,), lower is better


@runtime_checkable
class SearchSpace(Protocol):
    """Gives the integers of an encoding their meaning."""

    @property
    def variables(self) -> Sequence[Variable]:
        """One per column of X. Choices are ordered from small to large where they have a size."""

    def canonicalize(self, X: Encodings) -> Encodings:
        """The one encoding of each network, (n, n_variables). Idempotent."""

    def sample(self, n: int, rng: np.random.Generator) -> Encodings:
        """`n` canonical rows as a search would begin with them; duplicates may occur."""

    def describe(self, architecture: Architecture) -> dict[str, object]:
        """For a person and for other tools; the key `architecture` holds the short text form."""

    def parse(self, text_or_dict: object) -> Architecture:
        """The inverse of `describe`: the short text, the dictionary, or a tuple of choice indices.

        Raises `ConfigError` for anything else, saying what is accepted.
        """


@runtime_checkable
class FeatureSpace(SearchSpace, Protocol):
    """A space that says what a surrogate should look at. Surrogates of other spaces get the choice indices."""

    def features(self, X: Encodings) -> NDArray[np.float64]:
        """Canonical rows as numbers, (n, n_features), each within about 0 … 1 and meaningful in its order."""


@dataclass(frozen=True)
class Operator:
    """One layer as it stands in some architecture: what a cost model needs to price it."""

    name: str  # unique in its space, made of the kind of layer and its shapes
    macs: int  # multiply-accumulates of its convolutions and linear layers, for one image
    params: int  # its weights, biases and affine batch-norm terms
    peak: int = 0  # activations alive at once while it computes one image, its input and output among them
    aliases: tuple[tuple[str, ...], ...] = ()  # what published tables call it; several names: it is their sum


@runtime_checkable
class OperatorSpace(SearchSpace, Protocol):
    """A space whose architectures are sums of operators, so that a cost is a sum over a look-up table."""

    @property
    def operators(self) -> Sequence[Operator]:
        """All distinct operators that the space can make."""

    def layers(self, X: Encodings) -> NDArray[np.int64]:
        """The operators of canonical X as indices into `operators`, (n, n_slots); −1 is an empty slot."""


@runtime_checkable
class BuildableOperators(OperatorSpace, Protocol):
    """An operator space that can make its operators as they stand in a network, so that they can be timed.

    Names are words joined by hyphens, such as `kernel:5`: operators that share words are taken to be alike.
    """

    def input_shape(self, architecture: Architecture) -> tuple[int, int, int]:
        """Channels, height and width of the images that an architecture takes."""

    def sequence(self, architecture: Architecture) -> nn.Sequential:
        """The plain network, untrained and in eval mode: one child for each live slot of `layers`, in their order."""


Stopwatch = Callable[[int], Sequence[float]]  # runs a network so many times, one after another: the seconds of each


class Engine(Protocol):
    """Runs networks on some device, and times them there: what `nat latency` and the objective `measured` ask."""

    @property
    def about(self) -> Mapping[str, str]:
        """What the times belong to, in words: device, processor, engine, version, precision, threads, clock."""

    def prepare(self, network: nn.Module, shape: tuple[int, ...]) -> Stopwatch:
        """Make a network in eval mode ready for inputs of one shape (n, …). It is used up.

        Raises `ConfigError` for a network that the engine cannot run.
        """


@runtime_checkable
class SupernetSpace(SearchSpace, Protocol):
    """A space whose architectures share the weights of one supernet.

    Networks that learn together, such as a teacher and its student, share the variables named `resolution` and `width`.
    Where architectures take images of several sides, `resolution` alone decides which; where several widths have
    weights of their own, `width` decides which.
    """

    def supernet(self, n_classes: int, weights: object = None) -> Supernet:
        """A supernet, from a checkpoint or (weights None) as the space's own options say."""

    def input_shape(self, architecture: Architecture) -> tuple[int, int, int]:
        """Channels, height and width of the images that an architecture takes."""


@runtime_checkable
class ShrinkingSpace(SupernetSpace, Protocol):
    """A space that says in which order its networks should be let loose on a supernet: progressive shrinking."""

    def shrinking(self) -> Sequence[tuple[str, Callable[[int, np.random.Generator], Encodings]]]:
        """Phases behind that of the largest network: a name, and what samples n rows (n, n_variables), each wider."""


class Supernet(Protocol):
    """An `nn.Module` that holds the weights of every architecture of its space. Keeps no active architecture."""

    def __call__(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Logits (n, n_classes) of one architecture; gradients reach the shared weights."""

    def subnet(self, architecture: Architecture) -> nn.Module:
        """A stand-alone plain network with a copy of the weights."""


@dataclass(frozen=True)
class StaticNetwork:
    """A network that stands alone: trained elsewhere, and no part of a supernet."""

    network: nn.Module  # in eval mode: images (n, 3, side, side) → logits (n, n_classes)
    about: Mapping[str, object]  # as its space describes architectures
    side: int  # of its input, in pixels
    n_classes: int


@runtime_checkable
class StaticNetworkSpace(SearchSpace, Protocol):
    """A space that reads networks of its family which others published: what `nat evaluate` measures."""

    def static_network(self, config: Path, weights: Path) -> StaticNetwork:
        """The network of a config file, with the weights of another. Raises `ConfigError` unless both fit."""


class CostModel(Protocol):
    """Cheap: called with thousands of canonical rows at once."""

    def __call__(self, X: Encodings) -> Values:
        """The cost of every row, (n,), in the unit that the name says."""


@dataclass(frozen=True)
class Measurement:
    """One value, or NaN and the reason why it could not be measured."""

    value: float
    reason: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """The time that an estimator expects to take, in seconds."""

    adapt: tuple[float, ...]  # for the adaptation of iterations 0, 1, …
    measure: float  # for the measurement of one architecture


class Estimator(Protocol):
    """Costly: measures architectures on data. Given the same X and state, it gives the same values."""

    def __call__(self, X: Encodings) -> Sequence[Measurement]:
        """One measurement per row, on the validation split."""


@runtime_checkable
class TestingEstimator(Estimator, Protocol):
    """An estimator that can also measure on the held-out test split."""

    def test(self, X: Encodings) -> Sequence[Measurement]:
        """One measurement per row, on the test split. Called once, for the final front."""


@runtime_checkable
class Undisturbed(Estimator, Protocol):
    """An estimator whose values depend on what else the machine does: it is never asked beside others of its kind."""

    @property
    def undisturbed(self) -> bool:
        """Whether that is so with its present options."""


@dataclass(frozen=True)
class Task:
    """One architecture to measure, with what the estimators had learnt by then."""

    architecture: Architecture
    weights: Mapping[str, tuple[Path, str]]  # adaptive estimator → a file that its `save` wrote, and its sha256
    test: bool = False  # on the test split, for the final front


@dataclass(frozen=True)
class Answer:
    """What came of a task."""

    values: Mapping[str, float]  # objective → value, finite where there is no reason
    violation: float = 0.0  # of the constraints
    reasons: Mapping[str, str] = field(default_factory=dict)  # what could not be measured → why
    seconds: float = 0.0
    attempts: int = 1  # the last of which gave this
    exhausted: bool = False  # whether memory ran out, which may be for what others need


class Crew(Protocol):
    """Those who measure for a run, while it lasts."""

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The number of every task, once, with what came of it, as soon as it did.

        A task that kills or outlasts whoever measures it is answered with a reason, and costs the others nothing.
        Raises `NatError` where nobody can take up the run at all.
        """


class Executor(Protocol):
    """Where architectures are measured. It decides nothing: archives are the same with any."""

    @property
    def width(self) -> int:
        """How many architectures it measures at a time."""

    def crew(self, recipe: Mapping[str, Any]) -> AbstractContextManager[Crew]:
        """Those who measure for a run, gone when the context ends, and when this process does, however it does.

        From the recipe, which is plain JSON, `nat_core.working.take_up` makes in another process what does a task.
        """


class Learner(Protocol):
    """Something that learns in iterations, and can save and load what it learnt."""

    def adapt(self, X: Encodings, iteration: int, iterations: int, progress: Progress) -> Sequence[float] | None:
        """Learn on the architectures X for iteration `iteration` of 0 … `iterations`.

        What it learns depends on its state, X and the iteration alone: adapting again from a saved state gives the
        same state. It may give the mean training loss of each epoch, which stays with the run.
        """

    def save(self, file: Path) -> None:
        """Write the state to a new file. Also before the first iteration, to see that it can be and how large it is."""

    def load(self, file: Path) -> None:
        """Take the state from a file that `save` wrote."""


class Checkpoint(Protocol):
    """Where a long phase keeps how far it has come, so that one that is cut short goes on from there.

    It saves time and decides nothing: what is learnt is the same with and without it.
    """

    def load(self) -> bytes | None:
        """What was kept of this very phase, whole and verified; None where there is nothing of use."""

    def offer(self, state: Callable[[], bytes], done: int, total: int) -> None:
        """Say that `done` steps of `total` have come to a state, which is asked for only when it is time to keep it.

        It then takes the place of the one before. A disk that has no room for it is warned of, and no error.
        """


@runtime_checkable
class ResumableLearner(Learner, Protocol):
    """A learner that can go on in the middle of an iteration."""

    def adapt_resumably(
        self, X: Encodings, iteration: int, iterations: int, progress: Progress, checkpoint: Checkpoint
    ) -> Sequence[float] | None:
        """As `adapt`, from what the checkpoint holds, if it holds anything. Comes to the same, bit by bit."""


@runtime_checkable
class AdaptiveEstimator(Estimator, Learner, Protocol):
    """An estimator that learns between iterations."""

    def rehearse(self, iterations: int) -> Rehearsal:
        """What a run of so many iterations will take, by a short trial. Leaves the state as it was."""


class Pretrainer(Protocol):
    """Trains a supernet for no search in particular, epoch by epoch: what `nat pretrain` drives."""

    @property
    def epochs(self) -> int:
        """All of them, over every phase."""

    def phase(self, epoch: int) -> str:
        """What epoch 0 … `epochs` - 1 is about, in a word or two."""

    def train(self, epoch: int, progress: Progress) -> float:
        """Learn for one epoch; the mean loss. What it learns depends on its state and the epoch alone."""

    def measure(self) -> Mapping[str, float]:
        """How good the supernet is on the validation split, by name; lower is better."""

    def save(self, file: Path) -> None:
        """Write the supernet to a new file, as the space's option `weights` reads it. It is the whole state."""

    def load(self, file: Path) -> None:
        """Take the state from a file that `save` wrote."""


@runtime_checkable
class ResumablePretrainer(Pretrainer, Protocol):
    """A pretrainer that can go on in the middle of an epoch."""

    def train_resumably(self, epoch: int, progress: Progress, checkpoint: Checkpoint) -> float:
        """As `train`, from what the checkpoint holds, if it holds anything. Comes to the same state and loss."""


@runtime_checkable
class SubnetEstimator(Estimator, Protocol):
    """An estimator that gives away the networks it measures: what `nat finetune` begins with."""

    def network(self, architecture: Architecture) -> nn.Module:
        """The network as it is measured, with a copy of the weights, in eval mode."""


@runtime_checkable
class FineTuner(Protocol):
    """Trains one network alone, epoch by epoch: what `nat finetune` drives."""

    @property
    def epochs(self) -> int:
        """All of them, one at least."""

    def begin(self, architecture: Architecture, subnet: Callable[[Architecture], nn.Module]) -> None:
        """Take up the network of an architecture; called once, before anything else.

        `subnet` gives the network of any architecture, with the weights that a run left it: one may teach another.
        """

    @property
    def network(self) -> nn.Module:
        """The network as it is now, in eval mode."""

    def train(self, epoch: int, progress: Progress) -> float:
        """Learn for one epoch; the mean loss. What it learns depends on its state and the epoch alone."""

    def save(self, file: Path) -> None:
        """Write the network's weights to a new file. They are the whole state."""

    def load(self, file: Path) -> None:
        """Take the state from a file that `save` wrote."""


@runtime_checkable
class ResumableFineTuner(FineTuner, Protocol):
    """A fine-tuner that can go on in the middle of an epoch."""

    def train_resumably(self, epoch: int, progress: Progress, checkpoint: Checkpoint) -> float:
        """As `train`, from what the checkpoint holds, if it holds anything. Comes to the same state and loss."""


class Evaluator(Protocol):
    """Measures networks that stand alone on data: what `nat evaluate` and `nat finetune` ask."""

    def __call__(self, network: StaticNetwork, split: Split) -> Mapping[str, float]:
        """Errors by name, lower is better, first the one that decides. The network stays as it is.

        Raises `ConfigError` where there is nothing to measure on, and for outputs that are no numbers.
        """


@runtime_checkable
class LogitsEvaluator(Evaluator, Protocol):
    """An evaluator that gives away what it measured: `nat evaluate` makes a report on each class of it."""

    def logits(self, network: StaticNetwork, split: Split) -> NDArray[np.float32]:
        """What the network answers to each image, (n, n_classes), in the order of the split. Raises as a call does."""


@dataclass(frozen=True)
class TrackedIteration:
    """One iteration of a run in numbers: what a tracker writes down."""

    iteration: int  # from 0
    scalars: Mapping[str, float]  # finite, by names such as front/hypervolume or seconds/adapt
    names: tuple[str, ...]  # of the objectives
    measured: Objectives  # (n, n_objectives), of the archive
    front: Objectives  # (m, n_objectives), best in the first objective first
    architectures: tuple[str, ...]  # of the front, as text


class Tracker(Protocol):
    """Follows a run in a program made for it, such as TensorBoard. Where it fails, the run goes on.

    All calls are about one run, which may go on in another process and another tracker of the same options.
    """

    def begin(self, folder: Path, name: str, parameters: Mapping[str, str]) -> Collection[int]:
        """Take up the run in a folder, a new one or one that goes on; the iterations that are written down already."""

    def note(self, found: TrackedIteration) -> None:
        """Write an iteration down for good. Called once for each, in order; again only where it has failed."""

    def finish(self) -> None:
        """The run is complete, and all of it is written down. Called once by each process that sees its end."""


class Exporter(Protocol):
    """Writes a network as files that run without nat, and says how: what `nat export` asks.

    The engine does the rest: it compares the files with the network, times them, and writes the card and the script.
    """

    @property
    def packages(self) -> tuple[str, ...]:
        """What whoever runs the files installs, as pip calls it; numpy and Pillow go without saying."""

    @property
    def precision(self) -> str:
        """Of the numbers in the files. With `fp32` they have to give the network's own logits, but for rounding."""

    @property
    def batch(self) -> int:
        """How many images the files take at a time; 0: any number."""

    @property
    def n_images(self) -> int:
        """How many training images `files` wants to see, two at least: to trace, or to calibrate."""

    @property
    def script(self) -> str:
        """Python source of a function `load(threads=0)`, which gives another: images to logits, arrays of float32.

        It needs `packages` alone, and finds the files in the folder `HERE`, a `Path`; 0 threads are as many as the
        runtime takes by itself. numpy is there as `np`.
        """

    def files(self, network: nn.Module, images: Tensor) -> Mapping[str, bytes]:
        """Contents by name, the main file first, of a network in eval mode, which may be used up.

        The images are as the network takes them, (n, 3, side, side).
        """


@runtime_checkable
class Fingerprinted(Protocol):
    """A space or an estimator whose values come out of a file: a run does not go on with another one."""

    @property
    def fingerprint(self) -> str:
        """sha256 of what is read from it, and more in words if it helps: changes when the values do."""


class Surrogate(Protocol):
    """Learns an objective from few measurements."""

    def fit(self, X: Encodings, y: Values) -> Function:
        """A function of an objective's own type. X (n, n_variables) with n ≥ 1; y finite."""


class Belief(Protocol):
    """What a fitted surrogate takes some rows to be, together. Immutable."""

    def at_best(self, deviations: float) -> Values:
        """The predictions (n,) less so many standard deviations of their errors, in the objective's own unit."""

    def knowing(self, row: int) -> Belief:
        """The belief once a row has been measured, whatever its value: rows like it are less uncertain then."""


@runtime_checkable
class UncertainFunction(Protocol):
    """A fitted surrogate that knows how far it may be wrong. Optional: any `Function` will do."""

    def __call__(self, X: Encodings, /) -> Values:
        """The predictions for rows X, (n,)."""

    def at_best(self, X: Encodings, deviations: float) -> Values:
        """The predictions (n,) less so many standard deviations of their errors, in the objective's own unit."""

    def believe(self, X: Encodings) -> Belief:
        """What it takes a few hundred rows to be, together."""


@runtime_checkable
class Explained(Protocol):
    """A fitted surrogate that says how it came about. Optional: any `Function` will do."""

    @property
    def note(self) -> str:
        """One line for a person, such as who won a comparison and by what; it stays with the run. Empty: nothing."""


class PredictedProblem(Protocol):
    """What an optimizer sees: every objective cheap, costly ones replaced by their surrogates."""

    @property
    def space(self) -> SearchSpace:
        """Where the rows come from."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the objectives: the columns of F."""

    def F(self, X: Encodings) -> Objectives:
        """All objectives of canonical rows, (n, n_objectives), finite."""

    def violation(self, X: Encodings, F: Objectives) -> Values:
        """How far each row is outside the constraints, summed and relative, (n,); 0 is feasible."""


class Optimizer(Protocol):
    """A function of the archive: it keeps no state, so there is none to lose."""

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` canonical rows, distinct and not in the archive, best first; fewer only if the space holds no more."""


class MeasuredProblem(Protocol):
    """What an optimizer sees where nothing is predicted: what is known before a measurement."""

    @property
    def space(self) -> SearchSpace:
        """Where the rows come from."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the objectives: the columns of the archive's F."""

    def cost_violation(self, X: Encodings) -> Values:
        """The violation of those constraints that need no measurement, (n,)."""


@runtime_checkable
class DirectOptimizer(Optimizer, Protocol):
    """An optimizer that can also search without a surrogate, from measurements alone."""

    def ask(self, problem: MeasuredProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` rows to measure next, as `propose` promises them, given what the archive holds."""


Evaluate = Callable[[Encodings], Objectives]  # X (n, n_variables) → F (n, n_objectives), NaN where it failed


class Spent(BaseException):
    """The budget of a bench is used up. Not an `Exception`: no handler for errors may take it for one."""


class Baseline(Protocol):
    """A whole search that uses no part of ours: what `nat bench` compares with."""

    def search(self, evaluate: Evaluate, names: tuple[str, ...], n: int, seed: int) -> None:
        """Have rows measured until `n` distinct canonical architectures are: `evaluate` then raises `Spent`.

        Rows need not be canonical or new: a repeated one is answered from memory, and costs nothing. F has a column for
        each of `names`, lower is better. The seed alone decides which rows are asked for.
        """


@dataclass(frozen=True)
class Split:
    """Pictures in memory."""

    images: NDArray[np.uint8]  # (n, 3, size, size)
    labels: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augmentation:
    """How training pictures may be varied without changing what they show."""

    min_scale: float = 0.25  # a random crop keeps at least this share of the area
    flip: bool = True  # left and right may be swapped


@runtime_checkable
class Dataset(Protocol):
    """Labelled pictures in three splits that share no picture."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, by label."""

    @property
    def train(self) -> Split:
        """What the supernet learns from."""

    @property
    def val(self) -> Split:
        """What the search measures on."""

    @property
    def test(self) -> Split:
        """What the final front is measured on, once."""

    @property
    def image_size(self) -> int:
        """Side of the pictures, in pixels."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of the training pixels, by channel, on the scale 0 … 1."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Of the training pixels, by channel, on the scale 0 … 1."""

    @property
    def augmentation(self) -> Augmentation:
        """What training may do to a picture."""

    @property
    def fingerprint(self) -> str:
        """sha256 over names, labels and pixels or file contents: changes when the data change."""

    @property
    def skipped(self) -> Mapping[str, str]:
        """Files that could not be read, and why."""
