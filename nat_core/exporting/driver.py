"""Runs the script of an exported network in a process of its own, as its user would: `python driver.py FOLDER`.

A line of JSON on stdin is a question, and a line on stdout its answer. It is run as a file, and imports nothing of nat:
what is compared and timed is what a machine without nat would do. A runtime that ends the process ends this one alone.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def main(folder: Path) -> None:
    """Answer until stdin ends. What a runtime prints goes to stderr, so that answers stand alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, str(folder))
    script = runpy.run_path(str(folder / "classify.py"))
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))["input"]
    network: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        if "threads" in question:
            network = script["load"](question["threads"])
        elif "pictures" in question:
            pictures = np.load(question["pictures"]).transpose(0, 2, 3, 1)
            images = np.stack([script["prepared"](Image.fromarray(p), about) for p in pictures])
            np.save(question["images"], images)
            np.save(question["logits"], np.asarray(network(images), dtype=np.float32))
        else:
            image = np.load(question["time"])
            answer = {"seconds": [_timed(network, image) for _ in range(question["times"])]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _timed(network: Any, image: Any) -> float:
    start = time.perf_counter()
    network(image)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]))
