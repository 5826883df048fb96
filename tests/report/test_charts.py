import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.report.charts import Curve, Level, bar, escape, line_chart, spread, strip
from minibert.report.heat_map import Cell, heat_map


def drawn(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{markup}</div>")


def chart(*curves: Curve, levels: tuple[Level, ...] = ()) -> ElementTree.Element:
    return drawn(line_chart("Loss", curves, x_label="step", y_label="loss (nats)", levels=levels))


def polylines(tree: ElementTree.Element) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (place.split(",") for place in line.get("points", "").split())]
        for line in tree.iter("polyline")
    ]


def height(line: list[tuple[float, float]]) -> float:
    return max(y for _, y in line) - min(y for _, y in line)


@pytest.mark.parametrize("count", [2, 79, 81, 400])
def test_curve_has_as_many_points_as_given(count: int) -> None:
    [line] = polylines(chart(Curve("training", list(range(count)), [1.0 / (x + 1) for x in range(count)])))
    assert len(line) == count


def test_long_curve_is_thinned_to_at_most_four_hundred_points() -> None:
    [line] = polylines(chart(Curve("training", list(range(5000)), [math.sin(x) for x in range(5000)])))
    assert 300 <= len(line) <= 400


def test_curve_stands_where_its_values_are() -> None:
    [line] = polylines(chart(Curve("training", [0, 5, 10], [10.0, 5.0, 0.0])))
    assert line == [(0.0, 0.0), (500.0, 125.0), (1000.0, 250.0)]


def test_noisy_long_curve_is_drawn_faintly_under_its_mean() -> None:
    tree = chart(Curve("training", list(range(100)), [(-1.0) ** x for x in range(100)], noisy=True))
    raw, mean = polylines(tree)
    assert len(raw) == len(mean) == 100
    assert height(raw) > 2 * height(mean)


def test_values_that_are_not_finite_are_left_out() -> None:
    ys = [3.0, math.nan, math.inf, None, 1.0]
    tree = chart(Curve("training", list(range(5)), ys), levels=(Level("ln V", math.nan),))
    [line] = polylines(tree)
    assert len(line) == 2
    everything = ElementTree.tostring(tree, encoding="unicode")
    assert not re.search(r"\b(nan|inf|None)\b", everything)
    assert "ln V" not in everything


def test_chart_without_points_is_not_drawn() -> None:
    curves = [Curve("training", [1, 2], [math.nan, None]), Curve("validation", [], [])]
    assert line_chart("Loss", curves, x_label="step", y_label="loss") == ""


@pytest.mark.parametrize(
    ("xs", "ys"), [([7], [2.0]), ([1, 2], [2.0, 2.0]), ([3, 3], [1.0, 2.0]), ([0], [0.0])]
)
def test_flat_and_single_point_curves_are_drawn(xs: list[int], ys: list[float]) -> None:
    assert len(polylines(chart(Curve("training", xs, ys)))[0]) == len(xs)


def test_chart_names_axes_curves_and_levels() -> None:
    tree = chart(
        Curve("a & b", [1, 2], [2.0, 1.5]), Curve("c", [1, 2], [3.0, 2.5]), levels=(Level("ln V", 9.0),)
    )
    texts = {text.text: text.get("class", "") for text in tree.iter("text")}
    assert {"step", "loss (nats)", "a & b", "c", "ln V"} <= set(texts)
    assert texts["a & b"] == "direct series-0" and texts["c"] == "direct series-1"
    assert [item[0].tail for item in tree.iter("li")] == ["ln V", "a & b", "c"]
    assert tree.find(".//title").text == "Loss"
    assert "a & b: 2.000 at 1, 1.500 at 2" in tree.find(".//desc").text
    assert "ln V: 9.000" in tree.find(".//desc").text


def test_dots_mark_each_point() -> None:
    tree = chart(Curve("validation", [0, 10, 20], [3.0, 2.0, 1.0], dots=True))
    assert [circle.get("cx") for circle in tree.iter("circle")] == ["0.0%", "50.0%", "100.0%"]


def test_small_values_name_their_power_of_ten() -> None:
    tree = drawn(
        line_chart("Rate", [Curve("r", [0, 1], [0.0, 5e-4])], x_label="step", y_label="learning rate")
    )
    assert "learning rate, in 10⁻⁴" in {text.text for text in tree.iter("text")}


@given(st.lists(st.floats(min_value=0, max_value=200), min_size=1, max_size=10))
def test_spread_labels_do_not_overlap_and_keep_their_order(places: list[float]) -> None:
    moved = spread(sorted(places), gap=16, limit=200)
    assert all(second - first >= 16 - 1e-9 for first, second in zip(moved, moved[1:], strict=False))
    assert max(moved) <= 200 + 1e-9


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread([10, 50, 120], gap=16, limit=200) == [10, 50, 120]


def test_heat_map_prints_every_label_and_value() -> None:
    cells = [[Cell(0.9, "18", "gold <a>"), Cell(0.1, "2")], [Cell(math.nan), Cell(7.0, "5")]]
    labels = ["<a>", "a label that is far too long"]
    markup = heat_map("Matrix", cells, rows=labels, columns=labels, row_name="gold", column_name="predicted")
    tree = drawn(markup)
    assert [float(cell.get("fill-opacity")) for cell in tree.iter("rect")] == [0.905, 0.145, 0.05, 1.0]
    texts = ["".join(text.itertext()) for text in tree.iter("text")]
    assert {"18", "2", "5", "gold", "predicted", "<a>"} <= set(texts)
    assert sum("a label that is far too long" in text for text in texts) == 2
    assert [text.get("class") for text in tree.iter("text") if text.text == "18"] == ["value dark"]
    assert [text.get("class") for text in tree.iter("text") if text.text == "2"] == ["value"]


def test_heat_map_without_cells_is_not_drawn() -> None:
    assert heat_map("Matrix", [[], []], rows=[], columns=[], row_name="a", column_name="b") == ""


def test_bar_and_strip_stay_inside_their_scale() -> None:
    assert [rect.get("width") for rect in drawn(bar(0.314)).iter("rect")] == ["100%", "31.4%"]
    assert 'width="100.0%"' in bar(1.7) and 'width="0.0%"' in bar(-1)
    dots = drawn(strip([0.5, 1.0], low=0.0, high=1.0)).iter("circle")
    assert [dot.get("cx") for dot in dots] == ["50.0%", "96.0%"]


@given(st.text(st.characters(codec=None)))
def test_escaped_text_is_well_formed_and_can_be_written(text: str) -> None:
    tree = ElementTree.fromstring(f'<p title="{escape(text)}">{escape(text)}</p>'.encode())
    plain = "".join(letter for letter in text if letter.isprintable() and letter not in "\ufffe\uffff")
    assert [letter for letter in tree.text or "" if letter.isprintable() and letter != "?"] == [
        letter for letter in plain if letter != "?"
    ]
