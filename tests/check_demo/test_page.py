"""The demo's page: whole in one file, true to what it shows, harmless whatever it was told."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.cases import REASON, case, check

from examples.check_demo import page
from examples.check_demo.acts import Act
from examples.check_demo.cloud import Mail, Visit
from examples.check_demo.large import Start
from examples.check_demo.page import Story
from examples.check_demo.promises import Promise
from examples.check_demo.uploads import Sent
from examples.check_scanner.quoted import quoted
from examples.check_scanner.result import State
from tmpcache.testing import Request

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
# Tags that have no end.
VOID = {"meta", "link", "img", "input", "br", "hr"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def story() -> Story:
    cases = [
        check(1, State.PROCESSED, "clean"),
        check(3, State.PROCESSED, "clean"),
        check(2, State.REVIEW, "mobile"),
        case(9, State.REJECTED, Sent(f"incoming/{HOSTILE}.jpg", b"no image", HOSTILE)),
    ]
    items: dict[State, list[dict[str, Any]]] = {state: [] for state in State}
    for one in cases:
        read = one.reading
        items[one.state].append(
            {
                "id": one.id,
                "decided_at": "2026-01-05T09:00:00.000+00:00",
                "to_account": one.deposit["account"] if one.deposit else None,
                "amount_cents": one.deposit["amount_cents"] if one.deposit else None,
                "routing": read.routing.text if read else None,
                "from_account": read.account.text if read else None,
                "serial": read.serial.text if read else None,
                "reason": HOSTILE,
            }
        )
    result = {
        "decision": "processed",
        "repeated": False,
        "reading": None,
        "timings": {"model": 0.05},
    }
    visit = Visit(cases[0].sent, result, 0.5, [], 0, [])
    repeated = replace(visit, result={**result, "repeated": True, "timings": {}})
    return Story(
        acts=[Act("cold", "new process", [visit]), Act("repeated", "again", [repeated])],
        cases=cases,
        promises=[Promise("Water is wet."), Promise("Pigs fly.", f"Not here: {HOSTILE}")],
        ledger=items,
        mails=[Mail("ann@example.com", HOSTILE, f"Dear {HOSTILE}\nBye")],
        starts=[Start("cold", "downloaded", 1.25, 6), Start("restarted", "on disk", 0.05, 0)],
    )


@pytest.fixture(scope="module")
def source(story: Story) -> str:
    return page.render(story)


class Parsed(HTMLParser):
    """Tags with their attributes, the text between them, and whether each tag has its end."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.faults += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if len({name for name, _ in attrs}) != len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> in line {self.getpos()[0]}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def parsed(source: str) -> Parsed:
    return Parsed(source)


# ---- the source ------------------------------------------------------------------------------


def test_every_tag_has_its_end_and_every_link_a_place(parsed: Parsed) -> None:
    assert parsed.faults == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in parsed.all("a")]
    assert {"#checks", "#ledger", "#mails"} < set(links)
    assert {link.removeprefix("#") for link in links} <= set(ids)
    named = [a["aria-labelledby"] for _, a in parsed.tags if "aria-labelledby" in a]
    assert set(named) <= set(ids)
    assert {label["for"] for label in parsed.all("label")} <= set(ids)


def test_nothing_is_loaded_from_anywhere(parsed: Parsed, source: str) -> None:
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name][:40])
    style = source.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert not re.search(r"url\(|@import|http", style)
    (policy,) = (meta for meta in parsed.all("meta") if "http-equiv" in meta)
    assert policy["content"].startswith("default-src 'none';")


def test_what_strangers_wrote_is_text_and_nothing_else(parsed: Parsed, source: str) -> None:
    assert not parsed.all("script")
    assert not [name for _, a in parsed.tags for name in a if name.startswith("on")]
    text = "".join(parsed.text)
    assert text.count(HOSTILE) >= 4  # ledger, promise, mail's subject and body
    assert quoted(f"{HOSTILE}.jpg", 120) in text
    assert REASON in text
    assert HOSTILE not in source
    assert REASON not in source


def test_a_long_name_with_line_breaks_is_one_short_line(story: Story) -> None:
    sent = Sent("incoming/\u202eevil\r\n" + "x" * 1000, b"no image", "odd")
    source = page.render(replace(story, cases=[*story.cases[1:], case(1, State.REJECTED, sent)]))
    (shown,) = re.findall(r"<code>(&#39;.u202e.*?)</code>", source)
    assert html.unescape(shown) == quoted("\u202eevil\r\n" + "x" * 1000, 120)
    assert shown.isprintable()
    assert len(shown) < 200


def test_every_picture_says_what_it_is(parsed: Parsed) -> None:
    images = parsed.all("img")
    assert len(images) == 3 * 2  # the text file has none
    assert all(image["alt"] for image in images)
    assert "routing, account, serial outlined" in images[0]["alt"].replace(", amount", "")
    charts = [svg for svg in parsed.all("svg") if svg.get("role") == "img"]
    assert len(charts) == 3
    assert all("cold" in chart["aria-label"] for chart in charts)


def test_every_upload_has_its_decision_reason_and_fields(story: Story, source: str) -> None:
    articles = re.findall(r"<article.*?</article>", source, re.DOTALL)
    assert len(articles) == len(story.cases)
    for one, article in zip(story.cases, articles, strict=True):
        assert f'class="card {one.state}"' in article
        assert f"</span>{one.state.capitalize()}" in article
        assert html.escape(REASON) in article
        if one.reading:
            for name, field, printed in one.compared():
                shown = field.text and name != "amount"
                assert not shown or f">{field.text}</td>" in article
                assert not printed or f'class="box {name}"' in article


def test_a_field_read_wrongly_is_marked(story: Story) -> None:
    good = story.cases[0]
    assert good.reading
    bad = replace(good.reading, serial=replace(good.reading.serial, text="1111"))
    wrong = page.render(replace(story, cases=[replace(good, reading=bad), *story.cases[1:]]))
    assert wrong.count("≠") == page.render(story).count("≠") + 1


def test_the_ledger_adds_up(story: Story, parsed: Parsed) -> None:
    cents = sum(int(item["amount_cents"]) for item in story.ledger[State.PROCESSED])
    assert cents > 0
    text = "".join(parsed.text)
    assert text.count(f"${cents // 100:,}.{cents % 100:02}") >= 3  # tile, summary, sum


def test_what_a_large_model_costs_is_shown_with_where_it_came_from(parsed: Parsed) -> None:
    text = " ".join("".join(parsed.text).split())
    assert "a model of 50.0 MB, from an S3 20 ms away whose connections carry 90.0 MB" in text
    assert "Cold downloaded 6 1.25 s" in text
    assert "Restarted on disk 0 50 ms" in text


def test_requests_are_counted_whole(story: Story) -> None:
    """Not "0.17 requests a check": so many, in so many checks."""
    (cold, _), visit = story.acts, story.acts[0].visits[0]
    request = Request("GET", "/models/micr/e13b.npz", "", {}, 200, sent=22_000)
    asked = replace(visit, requests=[request])
    act = replace(cold, visits=[asked, *[visit] * 5])
    source = page.render(replace(story, acts=[act]))
    assert ">1 in 6 checks<" in source
    assert ">22.0 kB<" in source


def test_a_broken_promise_is_not_hidden(parsed: Parsed) -> None:
    text = " ".join("".join(parsed.text).split())
    assert "✓ Kept: Water is wet." in text
    assert "✕ Not kept: Pigs fly. Not here:" in text


# ---- in a browser ----------------------------------------------------------------------------

MEASURE = """
function look(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const cards = () => [...page.querySelectorAll(".card")].filter(c => c.offsetParent).length;
  const outside = e => e.getBoundingClientRect().right > view.innerWidth + 1;
  const wide = [...page.body.querySelectorAll("*")].filter(
    e => !e.closest(".hidden, .skip, thead, .shot") && outside(e));
  const found = {
    width: view.innerWidth,
    overflow: root.scrollWidth - root.clientWidth,
    wide: wide.map(e => e.tagName + "." + e.className),
    images: [...page.images].map(i => i.complete && i.naturalWidth > 0),
    title: page.title,
    all: cards(),
    sure: [...page.querySelectorAll(".fields td.number")].map(
      e => e.textContent.trim() ? [e.offsetWidth, e.scrollWidth] : null).filter(e => e),
  };
  page.getElementById("show-review").click();
  found.review = cards();
  return found;
}
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  const result = document.createElement("pre");
  result.textContent = JSON.stringify(frames.map(look));
  document.body.replaceChildren(result);
});
"""


@pytest.fixture(scope="module")
def seen(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """What a browser makes of the page at two widths, and what it has to say."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the page is not looked at in a browser")
    home = tmp_path_factory.mktemp("browser")
    frames = "".join(
        f'<iframe width="{width}" height="900" srcdoc="{html.escape(source)}"></iframe>'
        for width in (390, 1280)
    )
    wrapper = home / "wrapper.html"
    wrapper.write_text(f"<!DOCTYPE html><body>{frames}<script>{MEASURE}</script>", "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--window-size=1800,1000", f"--user-data-dir={home / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", wrapper.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    result = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert result, done.stdout[-2000:]
    yield json.loads(html.unescape(result[1])), done.stderr
    shutil.rmtree(home / "profile", ignore_errors=True)


def test_it_fits_a_phone_and_a_desk(seen: tuple[Any, str]) -> None:
    assert [look["width"] for look in seen[0]] == [390, 1280]
    for look in seen[0]:
        assert look["overflow"] <= 0
        assert look["wide"] == []


def test_how_sure_each_field_is_can_be_read_on_a_phone_too(seen: tuple[Any, str]) -> None:
    phone, desk = seen[0]
    assert len(phone["sure"]) == len(desk["sure"]) >= 9
    for width, needed in (*phone["sure"], *desk["sure"]):
        assert 0 < needed <= width


def test_a_browser_shows_all_pictures_runs_nothing_and_has_no_complaints(
    seen: tuple[Any, str], story: Story
) -> None:
    looks, log = seen
    for look in looks:
        assert look["images"] == [True] * 6
        assert look["title"] == f"Check scanner: {len(story.cases)} uploads"
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []


def test_the_filter_works_without_script(seen: tuple[Any, str]) -> None:
    for look in seen[0]:
        assert (look["all"], look["review"]) == (4, 1)


def test_the_page_is_written_in_utf_8(story: Story, tmp_path: Path) -> None:
    page.write(replace(story, cases=[], ledger={state: [] for state in State}), tmp_path / "a.html")
    assert "✓".encode() in (tmp_path / "a.html").read_bytes()
