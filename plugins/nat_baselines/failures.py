"""What libraries that know no failed measurement are told in its place."""

from __future__ import annotations

import numpy as np

from nat_core.encoding import Objectives


class WorstInstead:
    """A failed row gets the worst value of each objective seen so far, so that it never looks good."""

    def __init__(self) -> None:
        self._worst: Objectives | None = None

    def __call__(self, F: Objectives) -> Objectives:
        """F (n, n_objectives), finite. Before anything was measured, a failed row is all zeros."""
        failed = np.asarray(~np.isfinite(F).all(axis=1))
        if not failed.all():
            worst = F[~failed].max(axis=0)
            self._worst = worst if self._worst is None else np.maximum(self._worst, worst)
        instead = np.zeros(F.shape[1]) if self._worst is None else self._worst
        return np.where(failed[:, None], instead, F)
