"""The model card of an exported network: what model.json holds, for a person to read.

Every string that a class, a file or an option brought is escaped: no card has markup that is not written here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nat_core.report.words import per_cent

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~:@])")
_BEGINNING = re.compile(r"^(?:[-=]|\d+\.)")  # of a list, a rule or a heading
_MOST_CLASSES = 50

_PREPARATION = {
    "crop": "the largest square in the middle, resized to {image_size} × {image_size} pixels (bicubic)",
    "squash": "the whole picture, pressed into {image_size} × {image_size} pixels (bicubic)",
}


def line(text: object) -> str:
    """A text in one line, with nothing in it that a terminal or a reader of lines would take for something else."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def escaped(text: object) -> str:
    """The same as Markdown that shows exactly these characters: no link, no tag, no emphasis."""
    plain = html.escape(_MARKUP.sub(r"\\\1", line(text)), quote=False)
    plain = re.sub(r"(?i)\bwww\.", lambda found: found[0][:-1] + r"\.", plain)
    plain = _BEGINNING.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", plain)
    return re.sub(r"^ +", lambda found: "&#32;" * len(found[0]), plain)  # four of them would be code


def card(about: Mapping[str, Any]) -> str:
    """README.md of a folder whose model.json holds `about`."""
    return "\n".join(_lines(about)) + "\n"


def _lines(about: Mapping[str, Any]) -> Iterator[str]:
    name, given = about["network"]["architecture"], about["input"]
    yield f"# {escaped(about['provenance']['data'])}: {len(about['classes'])} classes"
    yield ""
    yield (
        f"An image classifier of {about['params'] / 1e6:.2f} M parameters, found by Neural Architecture Transfer in "
        f"the space {escaped(about['space'])}, as {escaped(about['format'])} in {about['precision']}."
    )
    yield ""
    yield from _section("Use", _use(about))
    yield from _section("Input", _input(given))
    yield from _section("Output", [f"`logits`: one number a class, before softmax: (n, {len(about['classes'])})."])
    yield from _section("Classes", _classes(about["classes"]))
    yield from _section("How good it is", _quality(about))
    yield from _section("Latency", _latency(about["latency"]))
    yield from _section("Where it comes from", _origin(about, name))
    yield from _section("Licence", [_licence(about["provenance"]["weights_licence"])])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from lines
    yield ""


def _use(about: Mapping[str, Any]) -> list[str]:
    packages = " ".join(["numpy", "pillow", *about["packages"]])
    files = ", ".join(f"`{name}`" for name in about["files"])
    return [
        "```bash",
        f"pip install {packages}",
        "python classify.py picture.jpg",
        "```",
        "",
        f"The network is in {files}. `classify.py` needs nothing but these packages. It reads `classes.txt` and",
        "`model.json`, which is this page for programs.",
    ]


def _input(given: Mapping[str, Any]) -> list[str]:
    side, size = given["side"], given["image_size"]
    again = "" if side == size else f"; then resized to {side} × {side} (bilinear)"
    mean, std = (", ".join(f"{v:.6g}" for v in given[key]) for key in ("mean", "std"))
    return [
        f"- `images`: float32, {given['layout']}, (n, 3, {side}, {side}); {_batch(given['batch'])}",
        "- channels: red, green, blue",
        f"- picture: {_PREPARATION[given['fit']].format(image_size=size)}{again}",
        f"- pixels: divided by 255, minus the mean ({mean}), divided by the standard deviation ({std})",
    ]


def _batch(batch: int) -> str:
    return "any n" if batch == 0 else f"n = {batch}"


def _classes(classes: list[str]) -> list[str]:
    listed = [f"{i}. {escaped(name)}" for i, name in enumerate(classes[:_MOST_CLASSES])]
    more = len(classes) - len(listed)
    return [*listed, *([f"… and {more} more, in `classes.txt`"] if more else [])]


def _quality(about: Mapping[str, Any]) -> Iterator[str]:
    parity, objectives = about["parity"], about["objectives"]
    errors = parity["top1_error"]
    yield f"On {parity['images']:,} validation images:"
    yield ""
    yield f"- top-1 error of these files {per_cent(errors['file'])}, of the framework {per_cent(errors['framework'])}"
    yield f"- they agree on {per_cent(parity['top1_agreement'])} of the pictures"
    yield f"- largest difference of a logit, given the same tensors: {parity['max_logit_error']:.2g}"
    if objectives:
        yield ""
        yield "As the search measured it:"
        yield ""
        yield from (f"- {escaped(name)}: {value:.6g}" for name, value in objectives.items())
    else:
        yield ""
        yield "The search measured this network with other weights, or not at all: it left no objectives to show."
    for name, value in (about["tested"] or {}).items():
        yield f"- {escaped(name)} on the test images: {value:.6g}"
    if about["on_front"] is False:
        yield ""
        yield (
            "This architecture is not on the front of its run: another is at least as good in every objective, it "
            "breaks a constraint, or it was not measured."
        )


def _latency(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["Not measured."]
    spread = per_cent(found["spread"], 0)
    return [
        f"{found['file_ms']:.2f} ms a picture (threads: {found['threads']}; quartiles ± {spread}), beside",
        f"{found['eager_ms']:.2f} ms of PyTorch's eager mode, measured in turns on {escaped(found['machine'])}.",
    ]


def _origin(about: Mapping[str, Any], name: object) -> Iterator[str]:
    origin = about["provenance"]
    yield f"- architecture: {escaped(name)}"
    yield f"- run: {escaped(origin['run'])}, seed {origin['seed']}"
    if "finetuned" in origin:
        yield f"- fine-tuned: {escaped(origin['finetuned'])}"
    yield f"- data: {escaped(origin['data'])}, fingerprint {origin['data_fingerprint']}"
    yield f"- weights: {_flat(origin['weights'])}"
    if origin["space_options"]:
        yield f"- options of the space: {_flat(origin['space_options'])}"
    yield f"- made by: {escaped(origin['command'])}"
    yield f"- versions: {_flat(origin['versions'])}"


def _flat(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{escaped(key)} {escaped(value)}" for key, value in values.items())


def _licence(licence: str | None) -> str:
    if licence:
        return f"The weights it began with: {escaped(licence)}. What you trained on them is yours, within that licence."
    return (
        "Not known: the weights began as the supernet's. If that was somebody's checkpoint, its licence holds; random "
        "weights are yours."
    )
