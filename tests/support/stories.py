"""Runs as their journals tell them, made up: any number of evaluations in no time."""

from __future__ import annotations

import numpy as np

from nat_core.config import RunConfig
from nat_core.encoding import Variable, new_rows
from nat_core.report.story import Story

# Each would run a script, or ask for something, if it came into the page as anything but a text.
PAYLOADS = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "</SCRIPT ><svg onload=window.hacked=1>",
    "<!--<script>",
    "--><img src=x onerror=window.hacked=1>",
    "<img src=http://127.0.0.1:9/x.png onerror=window.hacked=1>",
    '"><a href="javascript:window.hacked=1">x</a>',
    "javascript:window.hacked=1//",
    "\u2028window.hacked=1\u2029",
    "{{7*7}}${7*7}{{contents}}{{script}}",
    "';window.hacked=1;//\\",
    "\\u003cscript\\u003ewindow.hacked=1",
    "&lt;script&gt;&#60;script>",
    "<style>@import 'http://127.0.0.1:9/x.css'</style><link rel=stylesheet href=http://127.0.0.1:9/y>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>\x00\x1b[31m\udcff",
)


class Named:
    """A space of eight variables that names its networks with a text of one's choice in front."""

    def __init__(self, word="", layer="conv"):
        self.word = word
        self.variables = tuple(Variable(f"v{i}", tuple(f"{layer}{c}" for c in range(4))) for i in range(8))

    def canonicalize(self, X):
        return X.copy()

    def sample(self, n, rng):
        return rng.integers(0, 4, (n, 8))

    def describe(self, architecture):
        layers = [str(v.choices[i]) for v, i in zip(self.variables, architecture, strict=True)]
        return {"architecture": self.word + "".join(map(str, architecture)), "layers": layers}

    def parse(self, text_or_dict):
        return tuple(text_or_dict)


def story(
    n=40,
    iterations=3,
    names=("top1_error", "macs"),
    space=None,
    word="",
    *,
    seed=0,
    fails=2,
    finished=True,
    constraints=(),
):
    """A run of `n` networks; `word` stands wherever a run can have a text of its own."""
    space = space or Named(word, word or "conv")
    rng = np.random.default_rng(seed)
    X = new_rows(space.sample(4 * n, rng))[:n]
    size = X.sum(axis=1) / max(X.sum(axis=1).max(), 1)
    F = {"top1_error": 0.05 + 0.5 * (1 - size) ** 2 + 0.05 * rng.random(len(X)), "macs": 1e6 + 2e7 * size**2}
    F |= {name: rng.random(len(X)) * 100 for name in names if name not in F}
    batches = np.array_split(np.arange(len(X)), iterations + 1)
    records = [{"kind": "begun", "config": {}, "plugins": {}}]
    for iteration, batch in enumerate(batches):
        predicted = [[float(F[m][i]) * 1.1 for m in names] for i in batch] if iteration else None
        said = {"top1_error": f"{word}cubic won"} if iteration else {}
        records.append(
            {
                "kind": "proposed",
                "iteration": iteration,
                "architectures": X[batch].tolist(),
                "predicted": predicted,
                "dropped": [],
                "surrogates": said,
                "seconds": {"fit": 0.5, "propose": 1.0},
            }
        )
        losses = {"top1_error": [2 / (1 + iteration + epoch / 3) for epoch in range(3)]}
        done = {"files": {}, "losses": losses, "seconds": 30.0, "saving": 0.1}
        records.append({"kind": "adapted", "iteration": iteration, **done})
        again = [i for i in batches[0] if iteration and i >= fails]
        for i in [*again, *batch]:
            common = {"iteration": iteration, "architecture": X[i].tolist(), "weights": iteration, "seconds": 0.7}
            if iteration == 0 and i < fails:
                records.append({"kind": "failed", "reason": f"top1_error: ValueError: {word}no number", **common})
            else:
                values = {m: float(F[m][i]) * (1 - 0.05 * iteration * (m == "top1_error")) for m in names}
                records.append({"kind": "measured", "objectives": values, "violation": 0.0, **common})
    storable = word.encode("utf-8", "replace").decode()  # a run file is UTF-8
    config = RunConfig(
        space="toy",
        data=f"{storable}photos",
        objectives=names,
        constraints=constraints,
        options={
            "toy": {
                "file": f"{storable}/weights.safetensors",
                "token": "s3cr3t",
                "url": "https://me:s3cr3t@example.org/w",
            },
        },
    )
    tables = {
        "plugins": {"estimators.top1_error": f"nat-core {word}0.1.0", "cost_models.macs": "nat-core 0.1.0"},
        "context": {"class_names": [f"{word}cat", "dog"]},
        "fingerprints": {"data": "d" * 64, "machine": {"platform": f"{word}Linux"}},
    }
    made = Story(f"{word}run", config, tables, space, records)
    if finished:
        for e in made.archive.front:
            values = {"top1_error": e.objectives[0] + 0.01}
            records.append({"kind": "tested", "architecture": list(e.architecture), "objectives": values})
        records.append({"kind": "finished", "evaluations": len(X)})
    return Story(f"{word}run", config, tables, space, records)
