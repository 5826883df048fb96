import math
import re
from typing import Any

import pytest

from minibert.report.html import render


@pytest.mark.parametrize(
    ("missing", "heading"),
    [
        ("table", "Scores on the test rows"),
        ("curves", "Fine-tuning"),
        ("confusion", "Confusion matrix"),
        ("errors", "Surest mistakes"),
    ],
)
def test_missing_part_of_a_task_leaves_no_heading(
    missing: str, heading: str, outline: Any, full_report: dict[str, Any]
) -> None:
    report = full_report
    del report["tasks"]["kind"][missing]
    assert heading not in outline(render(report)).headings


def test_best_value_of_each_column_is_bold(outline: Any, full_report: dict[str, Any]) -> None:
    report = {"title": "t", "tasks": {"x": {"table": full_report["tasks"]["kind"]["table"]}}}
    assert outline(render(report)).bold == ["0.900", "0.800"]


def test_lowest_loss_is_the_best_and_ties_are_both_bold(outline: Any) -> None:
    scores = [
        {"test_loss": {"mean": 0.5}, "f1": {"mean": 0.4}},
        {"test_loss": {"mean": 0.7}, "f1": {"mean": 0.4}},
    ]
    table = [{"system": name, "scores": row} for name, row in zip("ab", scores, strict=True)]
    assert outline(render({"title": "t", "tasks": {"x": {"table": table}}})).bold == [
        "0.500",
        "0.400",
        "0.400",
    ]


def test_spread_is_told_beside_the_mean_but_not_for_one_run(outline: Any) -> None:
    several = {"accuracy": {"mean": 0.9, "spread": 0.021, "values": [0.88, 0.92]}}
    single = {"accuracy": {"mean": 0.7, "spread": 0.0, "values": [0.7]}}
    table = [{"system": "a", "scores": several}, {"system": "b", "scores": single}]
    page = render({"title": "t", "tasks": {"x": {"table": table}}})
    text = outline(page).text
    assert "0.900 ± 0.021" in text and "0.700" in text and "± 0.000" not in text
    assert "over 2 runs" in text
    assert page.count("<circle") == 2


def test_scores_that_are_missing_or_not_finite_are_dashes(outline: Any) -> None:
    rows: list[dict[str, Any]] = [{"accuracy": {"mean": math.nan}}, {"accuracy": {"mean": None}}, {}]
    table = [{"system": name, "scores": row} for name, row in zip("abc", rows, strict=True)]
    page = render({"title": "t", "tasks": {"x": {"metrics": ["accuracy"], "table": table}}})
    assert page.count('<td class="absent">–</td>') == 3
    assert outline(page).bold == []


def test_confusion_prints_counts_and_shades_by_row(outline: Any, full_report: dict[str, Any]) -> None:
    report = {"title": "t", "tasks": {"x": {"confusion": full_report["tasks"]["kind"]["confusion"]}}}
    page = render(report)
    shades = [float(shade) for shade in re.findall(r'fill-opacity="([\d.]+)"', page)]
    assert shades == pytest.approx(
        [0.05 + 0.95 * share for share in (31 / 35, 4 / 35, 5 / 66, 61 / 66)], abs=1e-3
    )
    text = outline(page).text
    assert "gold cl<ass>, predicted def: 4 (11.4% of the row)" in text
    assert re.findall(r'class="value[^>]*>(\d+)<', page) == ["31", "4", "5", "61"]
