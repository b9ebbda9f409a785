"""The pages and the picture that the benchmarks write."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.peers import compare
from benchmarks.peers.pages import with_measured
from benchmarks.peers.record import Record, Row, load
from benchmarks.peers.roster import OURS, TREE

_SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_tells_medians_ratios_and_failures(tmp_path: Path) -> None:
    compare.write(_sample(), str(tmp_path))
    lines = (tmp_path / "benchmarks.md").read_text("utf-8").splitlines()

    def told(start: str) -> bool:
        return any(line.startswith(start) for line in lines)

    assert told("| tmpcache | 2.00 s ±0.25 | 20 MiB |")
    assert told("| guard | **1.00 s ±0.00** (0.5x) | < 1 MiB |")
    assert told("| s5cmd | failed |  |")
    assert told("* s5cmd (1 GiB, cold): out of <luck>")
    assert told("| guard |  |  | never asks |")
    assert told("| tmpcache | `fetch`, `fetch_many`, as they come | somelib 1.2 |")


def test_the_picture_has_a_dot_for_each_that_was_measured(tmp_path: Path) -> None:
    compare.write(_sample(), str(tmp_path))
    picture = ET.parse(tmp_path / "benchmarks.svg")
    texts = [text.text for text in picture.iter(f"{_SVG}text")]
    assert texts.count("s5cmd") == 3  # time, memory and asking
    assert texts.count("failed") == 2
    assert {"2.00 s", "1.00 s", "20.0 MiB", "< 1 MiB", "never asks"} <= set(texts)
    assert len(list(picture.iter(f"{_SVG}circle"))) == 5
    width = float(picture.getroot().get("width", ""))
    for dot in picture.iter(f"{_SVG}circle"):
        assert 0 < float(dot.get("cx", "")) < width / 2


def test_the_page_about_others_has_what_was_measured_last(tmp_path: Path) -> None:
    shown = Path(TREE, "docs/instead-of.md").read_text("utf-8")
    assert with_measured(shown, load(f"{TREE}/docs/benchmarks.json")) == shown
    (tmp_path / "instead-of.md").write_text(shown, "utf-8")
    compare.write(_sample(), str(tmp_path))
    written = (tmp_path / "instead-of.md").read_text("utf-8")
    assert "| guard |  |  |  |  | **1.00 s ±0.00** (0.5x) |" in written
    assert written.partition("<!-- measured -->")[0] == shown.partition("<!-- measured -->")[0]


def test_works_that_were_not_repeated_stay_on_the_page(tmp_path: Path) -> None:
    sample = _sample()
    compare.write(sample, str(tmp_path))
    newer = Record("asking", "cached, asking", "2026-02-02", {}, {OURS: Row(seconds=[7.0])})
    compare.write({"asking": newer}, str(tmp_path))
    kept = load(str(tmp_path / "benchmarks.json"))
    assert kept["large"] == sample["large"]
    assert kept["asking"] == newer


def _sample() -> dict[str, Record]:
    large = Record("large", "1 GiB, cold", "2026-01-01", {"system": "here"})
    large.rows[OURS] = Row([1.5, 2.0, 2.5], peaks=[20 * 2**20] * 3, versions={"somelib": "1.2"})
    large.rows["guard"] = Row([1.0, 1.0, 1.0], peaks=[1000] * 3)
    large.rows["s5cmd"] = Row([1.0], failed="out of <luck>")
    asking = Record("asking", "cached, asking", "2026-01-01", {"system": "here"})
    asking.rows[OURS] = Row([0.0008])
    asking.rows["guard"] = Row(lacks="never asks")
    return {"large": large, "asking": asking}


def test_a_table_in_a_file_is_as_wide_as_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    long = "w" * 120
    report.print_table(("what", "ours"), [(f"{long} [red]", "1.50 s"), ("short", "3 ms")])
    lines = capsys.readouterr().out.splitlines()
    assert f"| {long} [red] | 1.50 s |" in lines
    assert any(line.endswith(" |   3 ms |") for line in lines)
