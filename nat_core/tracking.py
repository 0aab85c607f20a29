"""A tracker of a run, and how far it has come: whoever calls one calls it through here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from nat_core.contracts import TrackedIteration, Tracker

log = logging.getLogger("nat_core")


@dataclass
class Followed:
    """A tracker that never fails a run: it is warned of once, and what it has missed it is told again."""

    name: str
    tracker: Tracker
    _done: set[int] | None = field(default=None, init=False)  # iterations; none: it has to begin, or to begin again
    _warned: bool = field(default=False, init=False)

    def knows(self, iteration: int) -> bool:
        """Whether an iteration is written down."""
        return self._done is not None and iteration in self._done

    def tell(
        self,
        begin: Callable[[Tracker], Collection[int]],
        found: Mapping[int, Callable[[], TrackedIteration]],
        *,
        finished: bool = False,
    ) -> None:
        """Have it write down those iterations that it has not yet, in order; the others are not computed."""
        try:
            if self._done is None:
                self._done = set(begin(self.tracker))
            for iteration in sorted(found.keys() - self._done):
                self.tracker.note(found[iteration]())
                self._done.add(iteration)
            if finished:
                self.tracker.finish()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a server, a disk, a library: none is the run's fault
            self._done = None  # what was written is looked up before anything else is
            if not self._warned:
                log.warning(
                    "the tracker %s failed (%s: %s): the run goes on, and what is missing there follows once it can",
                    self.name,
                    type(error).__name__,
                    " ".join(str(error).split())[:300],
                )
            self._warned = True
