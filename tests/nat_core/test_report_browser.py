"""The page in a real browser, headless: what a mouse, a finger and a keyboard find there, and what must not happen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from browser import Browser, found
from stories import PAYLOADS, Named, story

from nat_core.config import RunConfig
from nat_core.report import page
from nat_core.report.contents import compare_contents, run_contents
from nat_core.report.story import Story

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="no Chromium here: apt-get install chromium"),
]
SHOWN, POINT = ".detail .name", ".point"
FAILED = [
    {"kind": "proposed", "iteration": 0, "architectures": [[0] * 8], "predicted": None, "dropped": []},
    {"kind": "failed", "iteration": 0, "architecture": [0] * 8, "weights": -1, "reason": "top1_error: no value"},
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def show(browser, tmp_path):
    """Opens contents as a page; whatever a test does there, nothing may be asked for and nothing complain."""

    def opened(contents, **media):
        file = tmp_path / "run" / "report.html"
        file.parent.mkdir(exist_ok=True)
        file.write_text(page.render(contents), encoding="utf-8")
        browser.media(**media)
        browser.open(file)
        return browser

    yield opened
    assert browser.requests() == []
    assert browser.complaints() == []
    browser.media()
    browser.size(1200, 900)


@pytest.fixture(scope="module")
def contents():
    return run_contents(story())


def name(contents, point):
    return contents["points"][point]["name"]


def by_x(contents):
    return sorted(contents["front"], key=lambda i: contents["points"][i]["f"][1])


def test_the_knee_is_shown_first(show, contents):
    b = show(contents)
    assert b.ask("document.title") == "toy on photos · nat report"
    assert b.texts(SHOWN) == [name(contents, contents["knee"]["point"])]
    assert "knee" in b.texts(".detail .badge")
    assert len(b.ask(f"[...document.querySelectorAll('{POINT}')].map(e => e.ariaLabel)")) == len(contents["front"])


def test_hovering_shows_a_network_and_a_click_keeps_it(show, contents):
    b = show(contents)
    order = by_x(contents)
    b.hover(POINT, 0)
    assert b.texts(SHOWN) == [name(contents, order[0])]
    assert len(b.ask("[...document.querySelectorAll('.drawing rect')].map(e => e.textContent)")) == 8
    b.hover("h1")
    assert b.texts(SHOWN) == [name(contents, contents["knee"]["point"])]
    b.click(POINT, len(order) - 1)
    b.hover("h1")
    assert b.texts(SHOWN) == [name(contents, order[-1])]
    assert b.texts(".rows tr.chosen .pick")[0].startswith(name(contents, order[-1]))


def test_the_commands_are_of_the_network_and_the_folder(show, contents, tmp_path):
    b = show(contents)
    b.click(POINT, 1)
    folder = tmp_path / "run"  # as the run is called
    chosen = name(contents, by_x(contents)[1])
    export, finetune = b.texts(".detail .command code")
    assert export == f"nat export {folder} {chosen} --format onnx"
    assert finetune == f"nat finetune {folder} {chosen}"
    b.click(".detail .command button", 0)
    assert b.texts(".detail .command button")[0] == "Copied"


def test_the_arrow_keys_go_along_the_front(show, contents):
    b = show(contents)
    order = by_x(contents)
    b.ask(f"document.querySelector('{POINT}[tabindex=\"0\"]').focus()")
    b.press("Home")
    for i in order[:4]:
        assert b.texts(SHOWN) == [name(contents, i)]
        assert b.ask("document.activeElement.getAttribute('aria-label')").startswith(name(contents, i))
        b.press("ArrowRight")
    b.press("End")
    b.press("Enter")
    b.press("Tab")  # the whole front is one stop
    assert b.ask(f"document.activeElement.matches('{POINT}')") is False
    assert b.texts(SHOWN) == [name(contents, order[-1])]
    assert b.texts("[aria-live]")[0].startswith(name(contents, order[-1]))


CURVE = "[...document.querySelectorAll('.chart svg')].filter(e => e.ariaLabel.startsWith('Training loss'))"


def test_the_training_loss_is_a_curve_that_a_screen_reader_hears(show, contents):
    b = show(contents)
    title = "Training loss by epoch of adaptation"
    assert b.ask(f"{CURVE}.map(e => e.ariaLabel)") == [f"{title}. mean loss: from 2.000 to 0.4286."]
    assert b.ask(f"{CURVE}[0].querySelectorAll('path.dot').length") == 12
    assert {"5", "10"} <= set(b.ask(f"[...{CURVE}[0].querySelectorAll('text')].map(e => e.textContent)"))
    assert b.ask(f"{CURVE}[0].querySelectorAll('line.even').length") == 3  # where an iteration begins
    rows = b.ask(f"[...document.querySelector('[aria-label=\"{title}\"] tbody').rows].map(r => r.innerText)")
    assert len(rows) == 12


def test_a_run_that_has_only_warmed_up_shows_its_curve_and_one_without_losses_none(show):
    assert show(run_contents(story(8, 0))).ask(f"{CURVE}.length") == 1
    made = story()
    for record in made.of("adapted"):
        record.pop("losses")
    assert show(run_contents(made)).ask(f"{CURVE}.length") == 0


def test_the_table_sorts_by_a_heading(show, contents):
    b = show(contents)
    front = [contents["points"][i] for i in contents["front"]]
    for head, k in (("MACs", 1), ("top-1 error", 0)):
        n = next(i for i, text in enumerate(b.texts("table.rows thead button")) if text.startswith(head))
        for way, down in (("ascending", False), ("descending", True)):
            b.click("table.rows thead button", n)
            if b.ask(f"document.querySelectorAll('table.rows thead th')[{n}].ariaSort") != way:
                b.click("table.rows thead button", n)
            expected = [p["name"] for p in sorted(front, key=lambda p: p["f"][k], reverse=down)]
            assert [text.removesuffix(" ◆ knee") for text in b.texts("table.rows tbody .pick")] == expected


def test_all_that_was_measured_is_there_for_who_asks(show, contents):
    b = show(contents)
    b.click("details.screen summary")
    assert len(b.texts("table.rows tbody .pick")) == len(contents["points"])


def test_three_objectives_have_axes_to_choose_and_parallel_coordinates(show):
    contents = run_contents(story(names=("top1_error", "macs", "params")))
    b = show(contents)
    assert b.texts("h2")[:3] == ["The front", "All objectives", "The front as a table"]
    b.ask("document.querySelectorAll('select')[1].value = '2'")
    b.ask("document.querySelectorAll('select')[1].dispatchEvent(new Event('change'))")
    b.frames()
    assert "parameters" in b.texts(".chart text.title")
    order = sorted(contents["front"], key=lambda i: contents["points"][i]["f"][2])
    b.hover(POINT, 0)
    assert b.texts(SHOWN) == [name(contents, order[0])]


@pytest.mark.parametrize("names", [("top1_error", "macs"), tuple(f"o{i}" for i in range(12))])
def test_nothing_is_wider_than_a_phone(show, browser, names):
    browser.size(360, 740)
    b = show(run_contents(story(names=names)))
    assert b.ask("document.documentElement.scrollWidth") <= 360


def test_a_dark_page_is_dark_and_a_printed_one_is_light(show, contents):
    light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, v) => a + Number(v), 0) / 765"
    assert show(contents).ask(light) > 0.9
    assert show(contents, scheme="dark").ask(light) < 0.2
    assert show(contents, scheme="dark", medium="print").ask(light) > 0.9


def test_no_payload_runs_or_is_fetched(show):
    for payload in PAYLOADS:
        contents = run_contents(story(word=payload))
        b = show(contents)
        b.hover(POINT, 0)
        b.click(POINT, 1)
        assert b.ask("window.hacked") is None
        assert b.ask("document.querySelectorAll('script, style, link, img, iframe, a, object, embed').length") == 4
        assert b.texts(".fault .code")[0] == contents["failures"][0]["reason"].replace("\udcff", "?")
        assert b.requests() == [], payload
        assert b.complaints() == [], payload


def test_a_thousand_evaluations_open(show):
    b = show(run_contents(story(1000, 20, ("top1_error", "macs", "params"))))
    assert b.texts(".figures dd")[0].startswith("998")


def test_the_least_error_says_what_it_was_measured_on(show):
    made, running = story(), story(finished=False)
    table = replace(running, config=running.config.model_copy(update={"data": None}))
    for told, words in ((made, "on the test split"), (running, "on the validation split"), (table, "of all measured")):
        assert show(run_contents(told)).texts(".figures small")[3].endswith(words)


def test_a_run_that_measured_nothing_says_so(show):
    empty = Story("run", RunConfig(space="toy", data="photos"), {}, Named(), [{"kind": "begun"}, *FAILED])
    b = show(run_contents(empty))
    assert b.texts("h2")[0] == "Nothing has been measured yet"
    assert b.texts(".fault p.code")[0] == "top1_error: no value"
    assert b.texts("table") == []


def test_one_network_of_one_iteration_is_a_page_too(show):
    b = show(run_contents(story(2, 0, fails=1)))
    assert b.texts(".figures dd")[0].startswith("1")


def test_runs_beside_each_other(show):
    b = show(compare_contents([story(seed=1), story(seed=2)]))
    assert b.texts("h2") == ["The fronts", "Side by side", "Hypervolume", "Settings"]
    assert len(b.texts("table.rows tbody tr")) == 2
    assert len(b.texts(".series-line")) == 4


def test_runs_with_other_objectives_beside_each_other(show):
    b = show(compare_contents([story(), story(names=("macs", "top1_error", "params"))]))
    assert "no hypervolume that they share" in " ".join(b.texts(".note"))
