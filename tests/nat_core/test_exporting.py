"""Around an exported network: its script prepares pictures as nat does, its card has no markup but ours, its folder is
whole or not there."""

from __future__ import annotations

import ast
import errno
import io
import itertools
import json
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nat_core.durable import Disk
from nat_core.errors import ConfigError, ResourceError
from nat_core.exporting import _classes, _without_passwords, script
from nat_core.exporting.card import card, escaped, line
from nat_core.exporting.checking import running
from nat_core.exporting.classify import prepared
from nat_core.exporting.folder import draft_of, put_in_place, require_free, write
from nat_datasets.decoding import decode

PAYLOADS = [
    "</script><script>alert(1)</script>",
    "<!-- ",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://example.org/pixel.png)",
    "https://example.org/",
    "www.example.org",
    "<https://example.org>",
    "a\u2028b\nc\rd",
    "{{7*7}} ${7*7} `code` ```",
    "\x1b[31mred\x1b[0m",
    "| a | b |\n|---|---|",
    "# heading",
    "\n\n    indented code",
    "&lt;b&gt; &amp; \\<b>",
    "me@example.org *bold* _it_ ~~no~~",
]
PLAIN = {"image_size": 32, "side": 32, "fit": "crop", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def picture(width, height, mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 4 if mode in {"RGBA", "LA"} else 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return image.convert(mode)


def as_file(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


FILES = {
    "jpeg": as_file(picture(150, 90), "JPEG", quality=90),
    "small jpeg": as_file(picture(20, 17), "JPEG"),
    "png": as_file(picture(77, 101), "PNG"),
    "grey": as_file(picture(60, 40, "L"), "PNG"),
    "transparent": as_file(picture(60, 41, "RGBA"), "PNG"),
    "grey and transparent": as_file(picture(40, 61, "LA"), "PNG"),
    "palette": as_file(picture(64, 64).quantize(16), "PNG"),
    "cmyk": as_file(picture(50, 70, "CMYK"), "JPEG"),
    "webp": as_file(picture(50, 70), "WEBP", lossless=True),
    "16 bits": as_file(Image.fromarray((np.arange(48 * 40) * 34).astype(np.uint16).reshape(40, 48)), "PNG"),
    **{f"turned {n}": as_file(picture(90, 61, seed=n), "JPEG", exif=turned(n)) for n in range(1, 9)},
}


@pytest.mark.parametrize("name", FILES)
def test_the_script_reads_a_file_as_nat_does(name):
    size, squash = PLAIN["image_size"], name == "png"
    about = PLAIN | {"fit": "squash" if squash else "crop"}
    ours = decode(FILES[name], size, squash=squash)
    with Image.open(io.BytesIO(FILES[name])) as image:
        found = prepared(image, about)
    mean, std = (np.array(PLAIN[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (ours / 255 - mean) / std, atol=1e-5)


def levels(mode, brightest):
    """A picture of numbers from 0 to the brightest."""
    shares = np.asarray(picture(90, 61, "L"), dtype=np.float64) / 255
    kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    return Image.fromarray((shares / shares.max() * brightest).astype(kinds[mode]))


A_LEVEL = 1 / 255 / min(PLAIN["std"]) * 1.001
MODES = {  # what is saved, and the formats that hold it together with an orientation
    "1": (picture(90, 61, "1"), ("PNG", "TIFF")),
    "L": (picture(90, 61, "L"), ("PNG", "TIFF", "JPEG")),
    "LA": (picture(90, 61, "LA"), ("PNG",)),
    "P": (picture(90, 61, "RGBA").quantize(16), ("PNG",)),
    "RGB": (picture(90, 61), ("PNG", "TIFF", "JPEG", "WEBP")),
    "RGBA": (picture(90, 61, "RGBA"), ("PNG", "TIFF", "WEBP")),
    "CMYK": (picture(90, 61, "CMYK"), ("TIFF", "JPEG")),
    "I;16": (levels("I;16", 65535), ("PNG", "TIFF")),
    "I": (levels("I", 50_000), ("TIFF",)),
    "I, large": (levels("I", 2**31 - 1), ("TIFF",)),
    "F": (levels("F", 1), ("TIFF",)),
    "F, to 200": (levels("F", 200), ("TIFF",)),
    "F, to 60000": (levels("F", 60_000), ("TIFF",)),
    "F, large": (levels("F", 1e6), ("TIFF",)),
}


@pytest.mark.parametrize("orientation", [None, 6, 3])
@pytest.mark.parametrize(("mode", "form"), [(mode, form) for mode, (_, forms) in MODES.items() for form in forms])
def test_whatever_its_mode_a_picture_is_upright_in_the_script_as_in_nat(mode, form, orientation):
    exif = {} if orientation is None else {"exif": turned(orientation)}
    content = as_file(MODES[mode][0], form, **exif)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == mode.partition(",")[0]
        found = prepared(image, PLAIN)
    mean, std = (np.array(PLAIN[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    np.testing.assert_allclose(found, (decode(content, PLAIN["image_size"]) / 255 - mean) / std, atol=A_LEVEL)


def test_a_broken_orientation_is_none_and_a_pixel_that_is_no_number_is_said():
    content = as_file(picture(90, 61), "PNG", exif=b"MM no EXIF at all")
    with Image.open(io.BytesIO(content)) as image:
        found = prepared(image, PLAIN)
    with Image.open(io.BytesIO(as_file(picture(90, 61), "PNG"))) as image:
        np.testing.assert_array_equal(found, prepared(image, PLAIN))
    with pytest.raises(ValueError, match="a pixel that is no finite number"):
        prepared(Image.fromarray(np.array([[0, np.nan]], dtype=np.float32)), PLAIN)


@pytest.mark.parametrize("side", [24, 31, 32, 40, 64])
def test_the_script_resizes_as_the_estimators_do(side):
    import torch

    from nat_core.contracts import Split
    from nat_estimators.batches import batches

    images = np.stack([np.asarray(picture(32, 32, seed=seed)).transpose(2, 0, 1) for seed in range(4)])
    data = SimpleNamespace(mean=PLAIN["mean"], std=PLAIN["std"], classes=("a", "b"))
    split = Split(images, np.zeros(4, dtype=np.int64))
    ours = batches(split, data, torch.device("cpu")).plain(torch.arange(4), side).numpy()
    found = np.stack([prepared(Image.fromarray(i.transpose(1, 2, 0)), PLAIN | {"side": side}) for i in images])
    a_level = 1 / 255 / min(PLAIN["std"])  # PyTorch and Pillow round differently when they make a picture smaller
    np.testing.assert_allclose(found, ours, atol=a_level * 1.001 if side < 32 else 1e-5)


def about(text="cat"):
    return {
        "format": text,
        "precision": "fp32",
        "packages": ["onnxruntime"],
        "files": {"model.onnx": "0" * 64},
        "input": {**PLAIN, "layout": "NCHW", "batch": 0},
        "classes": [text, "dog"],
        "network": {"architecture": text},
        "params": 1_000_000,
        "space": text,
        "on_front": False,
        "objectives": {text: 0.5},
        "tested": {text: 0.25},
        "parity": {
            "images": 10,
            "max_logit_error": 1e-6,
            "top1_agreement": 1.0,
            "top1_error": {"file": 0.1, "framework": 0.1},
        },
        "latency": {"file_ms": 1.0, "eager_ms": 2.0, "spread": 0.1, "threads": 1, "machine": text},
        "provenance": {
            "run": text,
            "seed": 0,
            "data": text,
            "data_fingerprint": "f",
            "weights": {text: text},
            "space_options": {text: text},
            "command": text,
            "versions": {text: text},
            "weights_licence": text,
            "finetuned": text,
        },
    }


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_comment(self, data):
        self.found.append(("comment", data))


@pytest.mark.parametrize("text", PAYLOADS)
def test_no_text_becomes_markup(text):
    shown = card(about(text))
    tags = Tags()
    tags.feed(shown)
    assert tags.found == []
    assert len(shown.splitlines()) == len(card(about()).splitlines())
    assert all(c.isprintable() or c == "\n" for c in shown)
    for character in "*_[]`#|~:@":
        assert escaped(text).count(character) == escaped(text).count(f"\\{character}")
    assert "<" not in escaped(text)
    assert "www.e" not in escaped(text)
    assert line(text).isprintable()


def test_a_text_without_markup_is_readable():
    assert escaped("runs/digits, 0.25 (a-b)") == r"runs/digits, 0.25 \(a-b\)"
    assert card(about("cat")).startswith("# cat: 2 classes\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- a", r"\- a"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("12. a", r"12\. a"),
        ("    a", "&#32;" * 4 + "a"),
        ("3", "3"),
    ],
)
def test_what_begins_a_list_or_code_is_a_text(text, shown):
    assert escaped(text) == shown


def test_a_class_is_a_line_whatever_it_is_called():
    names = ["a\nb", "c\u2028d", "e\\f", "é", "\x1b[31m"]
    lines = _classes({"classes": names}).decode().split("\n")
    assert lines == [r"a\nb", r"c\u2028d", r"e\f", "é", r"\x1b[31m"]


def test_nobody_is_named_in_a_url():
    given = {
        "space_options": {"weights": "https://me:secret@host/w.pth"},
        "command": "nat -s a=http://t0ken@h/",
        "n": 1,
    }
    clean = json.dumps(_without_passwords(given))
    assert "secret" not in clean
    assert "t0ken" not in clean
    assert "https://host/w.pth" in clean


def test_the_script_holds_no_data_and_does_not_name_nat():
    import nat_exporters

    for name, factory in nat_exporters.register_exporters().items():
        try:
            exporter = factory()
        except ConfigError:
            continue  # its package is not here
        text = script(exporter).decode()
        tree = ast.parse(text)
        imported = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {(n.module or "").partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not any(module.startswith("nat_") for module in imported), name
        assert all(len(written) <= 120 for written in text.splitlines()), name
        assert f"pip install {' '.join(['numpy', 'pillow', *exporter.packages])}" in text


def made(out, contents, disk=None):
    with draft_of(out) as draft:
        write(draft, out, contents, disk or Disk())
        put_in_place(draft, out, disk or Disk())


WHOLE = {"model.json": json.dumps({"kind": "nat export", "files": {"model.x": "0"}}).encode(), "model.x": b"1"}


def test_a_folder_is_new_or_an_earlier_export(tmp_path):
    out = tmp_path / "deep" / "out"
    made(out, WHOLE)
    made(out, WHOLE | {"model.x": b"2"})
    assert (out / "model.x").read_bytes() == b"2"
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    require_free(out, force=True)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match=r"holds other files, such as mine\.txt"):
        require_free(out, force=True)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"kind": "nat export"}', '{"files": 3}', "no JSON"])
def test_a_model_json_of_somebody_else_is_kept(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ConfigError, match=r"holds other files, such as model\.json"):
        require_free(tmp_path, force=True)


@pytest.mark.parametrize("place", [".", "..", "a/..", "/"])
def test_a_place_without_a_name(place):
    with pytest.raises(ConfigError, match="gives no name: name the folder"):
        require_free(Path(place), force=False)


def test_a_draft_that_a_killed_process_of_the_same_number_left(tmp_path):
    out = tmp_path / "out"
    with draft_of(out) as draft:
        pass
    draft.mkdir()
    (draft / "half").write_text("x")
    made(out, WHOLE)
    assert {p.name for p in out.iterdir()} == set(WHOLE)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_runtime_that_ends_the_process_between_two_questions(tmp_path):
    """What it said last is passed on, and nothing stays in the folder."""
    (tmp_path / "model.json").write_text('{"input": {}}')
    (tmp_path / "beside.py").write_text("")
    text = "import os, sys, threading\n\nimport beside\n\n\ndef load(threads):\n    "
    text += "threading.Timer(0.05, lambda: (print('no more', file=sys.stderr, flush=True), os._exit(3))).start()\n"
    (tmp_path / "classify.py").write_text(text)
    with running(tmp_path, 1) as client:
        client._process.wait()
        with pytest.raises(ConfigError, match="its process ended with 3 and said 'no more'"):
            client.ask(time="x" * 10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["beside.py", "classify.py", "model.json"]


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is no folder"):
        require_free(tmp_path / "out", force=True)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("before", [False, True])
def test_a_disk_that_fails_once_leaves_what_was_there_or_what_is_new(tmp_path, call, before):
    failures = 0
    for number in range(1, 10):
        out = tmp_path / str(number) / "out"
        if before:
            made(out, WHOLE)
        disk, calls = Disk(), itertools.count(1)

        def fail(*given, number=number, calls=calls):
            if next(calls) == number:
                raise OSError(errno.ENOSPC, "No space left on device")
            return getattr(Disk, call)(Disk(), *given)

        setattr(disk, call, fail)
        try:
            made(out, WHOLE | {"model.x": b"2"}, disk)
        except ResourceError as error:
            failures += 1
            assert "cannot write" in str(error)  # noqa: PT017 - the last of the calls succeed
            assert "No space left on device" in str(error)  # noqa: PT017 - as above
        found = (out / "model.x").read_bytes() if out.exists() else None
        placed = next(calls) - 1 < number or (call == "fsync" and number == 4)  # the name was there before that fsync
        assert found == (b"2" if placed else b"1" if before else None)
        assert [p.name for p in out.parent.iterdir()] == (["out"] if found else [])
    assert failures == {"write": 2, "fsync": 4, "replace": 1 + before}[call]


def test_licences_and_squashed_pictures_are_known_where_they_are_published(tmp_path):
    from nat_core import plugins
    from nat_datasets import assembly
    from nat_datasets.reading import PictureFiles
    from nat_datasets.tree import find

    mbv3, lite = (plugins.find("search_spaces", name) for name in ("mbv3", "lite"))
    assert mbv3(weights="ofa").weights_licence.startswith("MIT")
    assert lite(weights="imagenet").weights_licence.startswith("Apache-2.0")
    assert mbv3(weights="mine.pth").weights_licence is None
    assert getattr(mbv3(), "weights_licence", None) is None
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(12):
            picture(20, 16, seed=i + 100 * (name == "cat")).save(tmp_path / name / f"{i}.png")
    recipe = assembly.Recipe(name="folder", image_size=16, split_seed=0)
    assert assembly.assemble(find(tmp_path), recipe).fit == "crop"
    assert assembly.assemble(find(tmp_path), recipe, PictureFiles(squash=True)).fit == "squash"
