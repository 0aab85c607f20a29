"""Surrogates: they learn a costly objective from few measurements, and stand in for it while the optimizer searches.

No module of this package may have the name of a factory: importing the module would put it in the factory's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import SearchSpace, Surrogate


@hookimpl
def register_surrogates() -> Mapping[str, Callable[..., Surrogate]]:
    """NAT's ensemble of radial-basis interpolants (the default choice), and a Gaussian process."""
    return {"rbf": rbf, "gp": gp}


def rbf(
    space: SearchSpace,
    members: Annotated[int, "interpolants in the ensemble"] = 500,
    kernel: Annotated[Literal["cubic", "linear", "thin-plate"], "the radial function of each member"] = "cubic",
    sample_fraction: Annotated[float, "share of the measurements that each member sees"] = 1.0,
    smoothing: Annotated[float, "how far members may miss their measurements; 0 goes through them"] = 0.03,
    seed: Annotated[int, "of the random subsets"] = 0,
) -> Surrogate:
    """NAT's ensemble of radial-basis interpolants, each on a random subset of variables."""
    from nat_surrogates.rbf_ensemble import RbfEnsemble

    return RbfEnsemble(space, members, kernel, sample_fraction, smoothing, seed)


def gp(
    space: SearchSpace,
    max_points: Annotated[int, "measurements to learn from; of more, the best half and a spread of the rest"] = 500,
) -> Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel and noise, by scikit-learn."""
    from nat_surrogates.gaussian_process import GaussianProcess

    return GaussianProcess(space, max_points)
