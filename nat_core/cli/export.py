"""`nat export`: one network of a run as files that run without nat."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from nat_core.cli.saved import chosen, saved_front
from nat_core.config import merged_layers
from nat_core.errors import ConfigError
from nat_core.exporting import IMAGES, Order, export, exporter_of
from nat_core.exporting.origin import Origin, of_finetuning, of_run
from nat_core.finetuned import is_finetuned, run_of
from nat_core.finetuning import digest
from nat_core.parts import require_parts, settings_of_parts, shorthands
from nat_core.plugins import registry
from nat_core.report.words import per_cent
from nat_core.run import find_parts, is_run

_FOLDER = click.Path(path_type=Path)


@click.command(name="export")
@click.argument("run", type=_FOLDER)
@click.argument("architecture", required=False, metavar="[ARCH]")
@click.option(
    "--format",
    "form",
    required=True,
    metavar="FORMAT",
    help="state-dict | pt2 | onnx | openvino | executorch | torchscript, or one of a plugin.",
)
@click.option("--quantize", metavar="int8", help="In 8 bits, calibrated on training images: onnx and openvino.")
@click.option("--out", type=_FOLDER, help="A new or an empty folder.  [default: in RUN/exported]")
@click.option("--force", is_flag=True, help="Replace an earlier export in that folder; never anything else.")
@click.option("--images", type=click.IntRange(min=1), default=IMAGES, show_default=True, help="To compare on, at most.")
@click.option("--device", help="cpu | cuda | auto: what recalibrates the network.  [default: as in the run]")
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="PART.OPTION=VALUE", help="Such as onnx.calibration_images=512."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(
    run: Path,
    architecture: str | None,
    form: str,
    quantize: str | None,
    out: Path | None,
    force: bool,
    images: int,
    device: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write one network of the run in the folder RUN as files that need no nat, and check them by running them.

    ARCH is an architecture in the text form of nat front; without it, the one at the knee. One that is not on the front
    is exported all the same. RUN may be a folder of nat finetune as well.

    The batch normalisation is recalibrated as it was measured. The files are run with their own runtime on validation
    images, beside the network itself; the folder holds the model card README.md with what came out, and classify.py,
    which runs them on your pictures.
    """
    offer, formats = registry().find("exporters", form), registry().of("exporters")
    short = shorthands({"quantize": quantize}, [offer], formats.values())
    given = settings_of_parts([*short, *settings], "onnx.calibration_images=512")
    tuned = is_finetuned(run) and not is_run(run)
    if tuned and architecture is not None:
        raise ConfigError(f"{run} holds one network, of nat finetune: leave the architecture out")
    name = f"{form}{'' if quantize in {None, 'none'} else f'-{quantize}'}".replace(":", "-")
    words = shlex.join(["nat", *sys.argv[1:]])
    saved = None if tuned else saved_front(run)
    source, config = run_of(run, "its pictures are needed to compare") if saved is None else (run, saved.config)
    measuring = find_parts(config)
    both = merged_layers(given, settings_of_parts(shorthands({"device": device}, measuring.estimators.values()), ""))
    require_parts(merged_layers(config.options, given), (*measuring.offers(), offer))
    if saved is None:
        order = Order(form, out or run / "exported" / name, given, images, force, words)
        exporter = exporter_of(order)
        origin = of_finetuning(config, source, run, given)
    else:
        wanted = chosen(saved, architecture)
        folder = f"{digest(wanted)}-{name}"
        order = Order(form, out or run / "exported" / folder, given, images, force, words)
        exporter = exporter_of(order)
        origin = of_run(config, run, wanted, wanted in saved.summary.front.architectures, both)
    about = export(origin, exporter, order, _step)
    if as_json:
        click.echo(json.dumps({"folder": str(order.out), **about}, allow_nan=False))
    else:
        _print(order, origin, about)


def _step(what: str) -> None:
    click.echo(f"{what} …", err=True)


def _print(order: Order, origin: Origin, about: dict[str, Any]) -> None:
    parity, timed = about["parity"], about["latency"]
    errors = parity["top1_error"]
    name = about["network"]["architecture"]
    click.echo(f"{name} as {order.form} in {about['precision']}, at {origin.network.side} pixels")
    if origin.facts["on_front"] is False:
        known = (
            "it was measured"
            if origin.facts["objectives"]
            else "the run has not measured it with these weights, its newest"
        )
        click.echo(f"It is not on the front of the run ({known}).")
    agreed = per_cent(parity["top1_agreement"])
    click.echo(
        f"{parity['images']:,} validation images: the files and nat agree on {agreed} of them; "
        f"logits differ by {parity['max_logit_error']:.1g} at most"
    )
    click.echo(f"top-1 error {per_cent(errors['file'])}, beside {per_cent(errors['framework'])} of the network in nat")
    click.echo(
        f"{timed['file_ms']:.2f} ms a picture, beside {timed['eager_ms']:.2f} ms in eager PyTorch "
        f"({timed['threads']} thread{'' if timed['threads'] == 1 else 's'})"
    )
    click.echo(f"The files are in {order.out}: begin with README.md")
