import json
import math
import re
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from minibert.errors import InputError
from minibert.report.html import render, write_report


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts_of(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts_of(inner)]
    return [value] if isinstance(value, str) else []


def test_page_is_well_formed_and_its_pictures_are_xml(outline: Any, full_report: dict[str, Any]) -> None:
    page = render(full_report)
    outline(page)
    body = page[page.index("<body>") : page.index("</html>")]
    tree = ElementTree.fromstring(body)
    assert len(list(tree.iter("polyline"))) >= 4


def test_page_loads_nothing(outline: Any, full_report: dict[str, Any]) -> None:
    page = render(full_report)
    seen = outline(page)
    links = [value for name, value in seen.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert links and all(link.startswith("#part-") for link in links)
    assert "<script" not in page and "@import" not in page and "url(" not in page
    assert not re.search(r"https?://", page)
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in seen.attributes


def test_every_text_of_the_report_is_in_the_page_escaped(outline: Any, full_report: dict[str, Any]) -> None:
    report = full_report
    page = render(report)
    shown = outline(page).text
    for text in texts_of({name: value for name, value in report.items() if name != "tasks"}):
        assert text in shown
        assert "<" not in text or text not in page
    task = report["tasks"]["kind"]
    for text in [task["title"], task["description"], *texts_of(task["table"]), *texts_of(task["errors"])]:
        assert text in shown
    for text in ["pre<tuned>", "cl<ass>", "pack<age>", "pre<train>", "<tok>"]:
        assert text in shown and text not in page
    assert escape("wrong <script>x</script>") in page


def test_full_report_has_a_heading_for_each_part(outline: Any, full_report: dict[str, Any]) -> None:
    assert outline(render(full_report)).headings == [
        "A title <script>alert(1)</script>",
        "Setting",
        "Machine",
        "Corpus",
        "Packages in the corpus",
        "Where the time went",
        "Pretraining",
        "Kind <i>of</i> thing",
        "Scores on the test rows",
        "Fine-tuning",
        "Confusion matrix",
        "Surest mistakes",
        "Attention",
        "Filled blanks",
        "Predictions",
    ]


HEADINGS = {
    "machine": ["Machine"],
    "stages": ["Where the time went"],
    "corpus": ["Corpus", "Packages in the corpus"],
    "pretraining": ["Pretraining"],
    "tasks": ["Kind <i>of</i> thing", "Scores on the test rows"],
    "attention": ["Attention"],
    "filled": ["Filled blanks"],
    "predictions": ["Predictions"],
}


@pytest.mark.parametrize("missing", sorted(HEADINGS))
@pytest.mark.parametrize("absent", ["gone", "empty", "null"])
def test_missing_part_leaves_no_heading(
    missing: str, absent: str, outline: Any, full_report: dict[str, Any]
) -> None:
    report = full_report
    if absent == "gone":
        del report[missing]
    else:
        report[missing] = type(report[missing])() if absent == "empty" else None
    headings = outline(render(report)).headings
    assert not set(HEADINGS[missing]) & set(headings)
    others = {heading for part, names in HEADINGS.items() if part != missing for heading in names}
    assert others <= set(headings)


def test_title_alone_makes_a_page(outline: Any) -> None:
    seen = outline(render({"title": "Only a title"}))
    assert seen.headings == ["Only a title"]
    assert not [value for name, value in seen.attributes if name == "href"]


@pytest.mark.parametrize("report", [{}, {"summary": "lonely"}, {"title": ""}])
def test_report_without_a_title_is_refused(report: dict[str, str]) -> None:
    with pytest.raises(InputError, match='no "title"') as caught:
        render(report)
    assert str(sorted(report)) in str(caught.value)


def test_values_that_are_not_finite_never_reach_the_page(outline: Any, full_report: dict[str, Any]) -> None:
    report = full_report
    report["pretraining"]["loss"][3] = math.inf
    report["pretraining"]["first_loss"] = math.nan
    report["attention"]["weights"][0][0] = math.nan
    report["predictions"][0]["probability"] = math.nan
    report["filled"][0]["answers"].append(["bad", math.inf])
    report["stages"].append({"name": "never", "seconds": math.nan})
    page = render(report)
    outline(page)
    assert not re.search(r"\b(nan|inf|None)\b", page[page.index("<body>") :])


def test_mask_is_shown_as_a_blank() -> None:
    page = render({"title": "t", "filled": [{"text": "a [MASK] & b", "answers": []}]})
    assert 'a <span class="blank">[MASK]</span> &amp; b' in page


def test_report_and_page_are_written_together(tmp_path: Path, full_report: dict[str, Any]) -> None:
    report = full_report
    folder = tmp_path / "new" / "run"
    page = write_report(report, folder)
    assert page == folder / "report.html"
    assert page.read_text(encoding="utf-8") == render(report)
    kept = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert kept["pretraining"]["validation_loss"] == [9.0, 6.6, None]
    assert kept["tasks"] == report["tasks"]
    assert render(kept) == render(report)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]


def test_refused_report_leaves_the_old_one(tmp_path: Path) -> None:
    write_report({"title": "old"}, tmp_path)
    with pytest.raises(InputError):
        write_report({"summary": "no title"}, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"title": "old"}
