"""`nat doctor`: what is wrong with this machine, or with the folder of a run, and what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from nat_core.doctor.findings import Finding
    from nat_core.doctor.repair import Step

_STYLES = {"ok": "green", "note": "yellow", "fault": "bold red"}


@click.command(name="doctor")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Mend the folder RUN; what is replaced is kept in RUN/aside.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
def command(run: Path | None, repair: bool, as_json: bool) -> int:
    """Examine this machine, or the folder RUN of a run, a pretraining or a fine-tuning.

    Says what is wrong and what mends it, and ends with exit code 1 where something is. Without --repair nothing is
    changed.
    """
    from nat_core.doctor import environment, folder
    from nat_core.doctor import repair as repairing
    from nat_core.doctor.findings import healthy

    if run is None and repair:
        raise click.UsageError("--repair needs the folder of a run: nat doctor RUN --repair")
    if run is not None:
        folder.look(run)
    console = None if as_json else _console()
    steps: list[Step] = []
    for step in repairing.repair(run) if run is not None and repair else ():
        steps.append(step)
        if console is not None:
            _show_step(console, step)
    findings: list[Finding] = []
    for finding in environment.examine(Path("runs")) if run is None else folder.examine(run):
        findings.append(finding)
        if console is not None:
            _show(console, finding)
    whole = healthy(findings)
    if console is None:
        listed = {"repaired": [s.document() for s in steps], "findings": [f.document() for f in findings]}
        click.echo(json.dumps({"ok": whole, "run": None if run is None else str(run), **listed}))
    else:
        faults = sum(finding.level == "fault" for finding in findings)
        console.print(
            "\nNothing is wrong." if whole else f"\n{faults} to be mended.", style=_STYLES[("fault", "ok")[whole]]
        )
    return 0 if whole else 1


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _show(console: Console, finding: Finding) -> None:
    from rich.text import Text

    line = Text(f"{finding.level:<6}", style=_STYLES[finding.level])
    line.append(f"{finding.subject}: ", style="bold").append(finding.text, style="default")
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"      → {finding.remedy}"), soft_wrap=True)


def _show_step(console: Console, step: Step) -> None:
    from rich.text import Text

    kept = "" if step.kept is None else f"; what stood there is {step.kept}"
    console.print(Text(f"mended {step.path}: {step.what}{kept}"), soft_wrap=True)
