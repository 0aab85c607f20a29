"""What the script of an exported network does with pictures. Its text is copied there, so nothing of nat is used.

The preparation is that of `nat_datasets` and of the estimators, with Pillow alone: a pixel may differ by one of 256
levels where a picture is made smaller, because PyTorch and Pillow round differently.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def prepared(image: Image.Image, about: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A picture as the network takes it, (3, side, side); `about` is the part `input` of model.json."""
    size, side, smooth = about["image_size"], about["side"], Image.Resampling.BILINEAR
    image.draft(None, (2 * size, 2 * size))  # a JPEG alone: decoded smaller, which is faster
    image.load()
    try:
        orientation = image.getexif().get(0x0112, 1)  # read here: most of what follows leaves EXIF out
    except Exception:  # noqa: BLE001 - Pillow raises many kinds; a broken tag says nothing against the pixels
        orientation = 1
    if image.mode.startswith(("I", "F")):  # grey of 16 or 32 bits or of floats; what is white, the file does not say
        grey = np.asarray(image, dtype=np.float32)
        if not np.isfinite(grey).all():
            raise ValueError("a pixel that is no finite number")
        brightest = float(grey.max())
        usual = {"I": (65535, 2**31), "F": (1, 255, 65535, brightest)}.get(image.mode, (65535,))
        white = next(white for white in usual if brightest <= white)
        image = Image.fromarray(np.rint(np.clip(grey / white, 0, 1) * 255).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    left, top = ((length - min(image.size)) / 2 for length in image.size)
    centre = (left, top, left + min(image.size), top + min(image.size))
    box = centre if about["fit"] == "crop" else None
    square = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    square = Image.fromarray(np.asarray(square))  # without the EXIF that it may still have
    square.getexif()[0x0112] = orientation
    square = ImageOps.exif_transpose(square)
    pixels = np.asarray(square.resize((side, side), smooth) if side < size else square, dtype=np.float32)
    channels = ((pixels / 255 - about["mean"]) / about["std"]).astype(np.float32).transpose(2, 0, 1)
    if side > size:
        channels = np.stack([np.asarray(Image.fromarray(c).resize((side, side), smooth)) for c in channels])
    return np.ascontiguousarray(channels)


def tell(load: Callable[[], Callable[[Any], Any]], folder: Path, files: list[str]) -> None:
    """Print the likeliest classes of each picture, a line each, best first."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))["input"]
    classes = (folder / "classes.txt").read_text(encoding="utf-8").split("\n")
    network = load()
    for file in files:
        with Image.open(file) as image:
            logits = network(prepared(image, about)[None])[0]
        odds = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        best = [f"{classes[i]} {odds[i]:.1%}" for i in np.argsort(-odds)[:5]]  # one word, which programs split off
        sys.stdout.write("\t".join([file, *best]) + "\n")
