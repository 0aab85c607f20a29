"""A Python that has some packages and their dependencies, and nothing else: links into this environment, no network."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement


def with_dependencies(*names: str) -> dict[str, importlib.metadata.Distribution]:
    """Distributions by name, with all that they require here."""
    found, wanted = {}, list(names)
    while wanted:
        name = wanted.pop()
        if name.lower() in found:
            continue
        distribution = importlib.metadata.distribution(name)
        found[name.lower()] = distribution
        needs = (Requirement(text) for text in distribution.requires or ())
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def make(folder: Path, *names: str) -> Path:
    """An environment with these packages; its interpreter. Raises `PackageNotFoundError` where one is not here."""
    distributions = with_dependencies(*names).values()
    command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    subprocess.run(command, check=True, timeout=120)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    for distribution in distributions:
        for top in {file.parts[0] for file in distribution.files or ()}:
            source = Path(str(distribution.locate_file(top)))
            if top not in {"..", "__pycache__"} and source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    return folder / "bin" / "python"


def run(python: Path, *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command in such an environment, without anything that this one's variables would bring in."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
    command = [str(python), *map(str, words)]
    env = {**kept, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=280, check=False)
