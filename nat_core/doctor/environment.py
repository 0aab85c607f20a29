"""The machine, the packages and the plugins: what is there, what works, and what a run would miss."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nat_core import __version__
from nat_core.doctor import probe
from nat_core.doctor.findings import Finding
from nat_core.downloads import cache_folder
from nat_core.durable import publish_text, sole_writer
from nat_core.errors import ResourceError
from nat_core.machine import cores
from nat_core.plugins import OWN, load

GIB, MIB = 1 << 30, 1 << 20
LEAST_ROOM, MUCH_ROOM = 256 * MIB, 2 * GIB  # a run keeps two supernets of 43 MB, and the pictures of a data set
LEAST_SHARED = 64 * MIB  # what a container has by default
LEAST_INODES, LEAST_FILES = 1000, 256
SLOW_SYNC = 0.1  # seconds: a run waits for the disk at every measurement
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*([^;]*)(?:;\s*(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def examine(place: Path) -> Iterator[Finding]:
    """Everything, as soon as it is known. `place` is where runs are to be written."""
    yield _program()
    yield from _packages()
    torch = probe.ask("torch")
    yield from _torch(torch)
    yield from _plugins()
    yield from _extras()
    for what, folder in (("runs", place), ("cache", cache_folder())):
        yield from _folder(what, folder)
    yield from _limits()
    yield from _processors(torch)


def _program() -> Finding:
    """Which nat this is, and whether the word `nat` leads to it: another project installs a command of that name."""
    text = f"nat {__version__} in {Path(__file__).parents[1]}, Python {platform.python_version()} on {sys.platform}"
    found = shutil.which("nat")
    if found is None or Path(found).parent.resolve() == Path(sys.executable).parent.resolve():
        return Finding("nat", "ok", text)
    return Finding(
        "nat",
        "note",
        f"{text}; but the command `nat` is {found}, of another environment",
        f"activate the environment of {sys.executable}, or say `{sys.executable} -m nat_core`",
    )


def _packages() -> Iterator[Finding]:
    """What nat cannot do without."""
    wanting = [fault for requirement in _requirements() if (fault := _wanting(requirement))]
    if wanting:
        yield Finding("packages", "fault", "; ".join(wanting), f"{_pip()} --upgrade {OWN}")
    else:
        yield Finding("packages", "ok", "every requirement is installed, in a version that is accepted")


def _requirements(extra: str = "") -> list[str]:
    """The requirements of nat, or of one of its extras, as its distribution lists them."""
    try:
        listed = importlib.metadata.requires(OWN) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [r for r in listed if ((m := _EXTRA.search(r)) is None and not extra) or (m is not None and m[1] == extra)]


def _wanting(requirement: str) -> str:
    """What is wrong with the installed version of a requirement; empty if nothing is."""
    matched = _REQUIREMENT.match(requirement)
    assert matched is not None  # noqa: S101 - a distribution's metadata are made by a packager
    name, bounds = matched[1], matched[2].strip(" ()")
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    for bound in filter(None, (b.strip() for b in bounds.split(","))):
        relation, wanted = bound[:2], bound[2:].strip()
        here, there = _numbers(version), _numbers(wanted)
        if (relation == ">=" and here < there) or (relation == "==" and here != there):
            return f"{name} is {version}, and {bound} is wanted"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """`2.10.0+cpu` → (2, 10, 0): enough to compare releases by."""
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0].partition("rc")[0])[:4])


def _pip() -> str:
    return f"{sys.executable} -m pip install"


def _torch(found: dict[str, Any]) -> Iterator[Finding]:
    """PyTorch and torchvision have to be built for each other; then the GPUs."""
    if "error" in found:
        remedy = f"{_pip()} --force-reinstall torch torchvision, both from the same index"
        yield Finding("torch", "fault", f"torch and torchvision do not work together: {found['error']}", remedy)
        return
    versions = f"torch {found['torch']} and torchvision {found['torchvision']}"
    wanted = _torch_of_torchvision()
    if not found["pair"] or (wanted and _numbers(wanted) != _numbers(found["torch"])):
        remedy = f"{_pip()} --force-reinstall torch torchvision, both from the same index"
        yield Finding("torch", "fault", f"{versions} are no pair: this torchvision is for torch {wanted}", remedy)
    else:
        yield Finding("torch", "ok", f"{versions}, a pair that works")
    for i, gpu in enumerate(found["gpus"]):
        about = f"{gpu['name']}, compute capability {gpu['capability']}"
        if "error" in gpu or not gpu["works"]:
            said = gpu.get("error", "a sum came out wrong")
            yield Finding(f"GPU {i}", "fault", f"{about}: {said}", "update its driver; until then use --device cpu")
        else:
            memory = f"{gpu['free'] / GIB:.1f} of {gpu['memory'] / GIB:.1f} GiB free"
            yield Finding(f"GPU {i}", "ok", f"{about}, {memory}")
    if not found["gpus"]:
        yield _no_gpu(found["cuda"])


def _torch_of_torchvision() -> str:
    """The version of torch that the installed torchvision was built for; empty where it does not say."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for requirement in importlib.metadata.requires("torchvision") or []:
            if matched := re.match(r"torch\s*\(?==\s*([\d.]+)", requirement):
                return matched[1]
    return ""


def _no_gpu(cuda: str | None) -> Finding:
    if not Path("/dev/nvidia0").exists():
        return Finding("GPU", "ok", "none; everything is computed on the processor")
    if cuda is None:
        return Finding(
            "GPU", "fault", "there is one, and this torch is built for processors alone", f"{_pip()} a torch with CUDA"
        )
    return Finding(
        "GPU", "fault", f"there is one, and torch (CUDA {cuda}) does not see it", "see whether nvidia-smi does"
    )


def _plugins() -> Iterator[Finding]:
    offers = load().offers
    working = [o for o in offers if o.status == "ok"]
    distributions = sorted({o.where for o in working})
    yield Finding("plugins", "ok", f"{len(working)} parts of {', '.join(distributions) or 'no distribution'}")
    for o in offers:
        if o.status == "broken":
            remedy = f"{_pip()} --upgrade {o.distribution}, or uninstall it; everything else works without"
            yield Finding("plugins", "fault", f"{o.name} of {o.where} does not load: {o.error}", remedy)
        elif o.status == "conflict":
            remedy = f"name it {o.distribution}:{o.name}, or uninstall one of them"
            yield Finding("plugins", "note", f"{o.kind} {o.name} is {o.error}", remedy)
        elif o.status == "off":
            remedy = "unset NAT_PLUGINS, or add it there"
            yield Finding("plugins", "note", f"{o.name} of {o.where} is switched off: {o.error}", remedy)


def _extras() -> Iterator[Finding]:
    """What is installed for which, and whether that can be imported: engines and formats of files."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for extra in importlib.metadata.metadata(OWN).get_all("Provides-Extra") or []:
            if extra == "dev":  # of use to whoever changes nat
                continue
            wanting = [fault for requirement in _requirements(extra) if (fault := _wanting(requirement))]
            if wanting:
                yield Finding(f"extra {extra}", "note", "; ".join(wanting), f"{_pip()} '{OWN}[{extra}]'")
                continue
            said = probe.ask(",".join(_modules(extra)))
            if error := said.get("error"):
                remedy = f"{_pip()} --force-reinstall '{OWN}[{extra}]'"
                yield Finding(f"extra {extra}", "fault", f"installed, and cannot be imported: {error}", remedy)
            else:
                yield Finding(f"extra {extra}", "ok", "installed, and can be imported")


def _modules(extra: str) -> list[str]:
    """The modules that the packages of an extra bring."""
    wanted = {_normal(m[1]) for r in _requirements(extra) if (m := _REQUIREMENT.match(r)) is not None}
    brought = importlib.metadata.packages_distributions()
    public = (name for name, dists in brought.items() if wanted & set(map(_normal, dists)))
    return sorted(name for name in public if name.isidentifier() and not name.startswith("_"))


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _folder(what: str, folder: Path) -> Iterator[Finding]:
    """Room, permission, locks and the pace of the disk: what a run needs of a folder."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    try:
        seconds = _trial(there)
    except (ResourceError, OSError) as error:
        yield Finding(what, "fault", f"{there} cannot be written: {error}", "choose another folder (--out, NAT_CACHE)")
        return
    usage, inodes = shutil.disk_usage(there), os.statvfs(there)
    text = f"{there} can be written and locked, {usage.free / GIB:.1f} GiB free"
    few = inodes.f_files > 0 and inodes.f_favail < LEAST_INODES  # some file systems have no such number
    if usage.free < LEAST_ROOM or few:
        about = f"{there} has {usage.free / MIB:.0f} MiB and {inodes.f_favail} files left"
        yield Finding(what, "fault", about, "free some, or choose a folder on another disk (--out, NAT_CACHE)")
    elif usage.free < MUCH_ROOM:
        yield Finding(what, "note", text, "a large data set or supernet needs more")
    elif seconds > SLOW_SYNC:
        yield Finding(what, "note", f"{text}; it takes {seconds:.1f} s to write a record", "use a local disk")
    else:
        yield Finding(what, "ok", f"{text}, {1000 * seconds:.0f} ms to write a record")


def _trial(folder: Path) -> float:
    """Write, lock, rename and remove something; the seconds for a small file. Raises what the system refuses."""
    with tempfile.TemporaryDirectory(prefix=".nat-doctor-", dir=folder) as place, sole_writer(Path(place)):
        start = time.perf_counter()
        publish_text(Path(place) / "trial", "x" * 500)
        return time.perf_counter() - start


def _limits() -> Iterator[Finding]:
    """Shared memory, which loaders and other processes use, and how many files may be open."""
    shared = Path("/dev/shm")  # noqa: S108 - looked at, not written
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        remedy = "in a container: --shm-size=1g; otherwise remove what was left there"
        few = free < LEAST_SHARED
        yield Finding("shared memory", "note" if few else "ok", f"{free / MIB:,.0f} MiB free", remedy if few else "")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= soft < LEAST_FILES
    yield Finding("open files", "note" if few else "ok", f"{soft} at most", "ulimit -n 1024" if few else "")


def _processors(torch: dict[str, Any]) -> Iterator[Finding]:
    """More threads than processors wait for each other; fewer leave some idle."""
    allowed = cores()
    granted = min(allowed, _quota() or allowed)
    chosen = ", ".join(f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ)
    text = f"{granted:g} of {os.cpu_count()} may be used; torch takes {torch.get('threads', '?')} threads"
    text += f" ({chosen})" if chosen else ""
    if torch.get("threads", 0) > granted:
        yield Finding("processors", "note", text, f"export OMP_NUM_THREADS={max(1, int(granted))}")
    else:
        yield Finding("processors", "ok", text)


def _quota() -> float | None:
    """How many processors a control group grants; none where there is no limit."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        granted, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return int(granted) / int(period)
    return None
