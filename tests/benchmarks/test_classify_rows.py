"""The rows of labels and numbers: what is cut out, held out and asked is what the record says."""

import json
import random

import pytest

from minibert.data.examples import TextExample


@pytest.fixture
def rows(benchmark):
    return benchmark("classify_rows")


def test_every_so_manieth_row_is_held_out_once(rows):
    kept, held = rows.held_out(list(range(103)), 10)
    assert len(held) == 11
    assert sorted(kept + held) == list(range(103))
    assert rows.held_out(list(range(103)), 10) == (kept, held)
    parts = rows.split(list(range(100)))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (72, 8, 20)
    assert rows.split([1, 2, 3], [7]).test == [7]


def test_a_gap_is_a_word_of_its_line_and_the_others_stand_around(rows):
    lines = [
        f"there were {word} birds over every {word} river" for word in ("seven", "grey", "lonely", "quiet")
    ]
    found = rows.gaps([*lines, *lines], random.Random(0))
    assert found
    for example in found:
        right = example.choices[example.label]
        assert len(set(example.choices)) == 4
        assert example.text.count(rows.GAP) == 1
        assert example.text.replace(rows.GAP, right) in lines
        assert all(choice not in example.text for choice in example.choices if choice != right)


def write(folder, name, *found):
    path = folder / "fewclue" / "cluewsc" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in found), "utf-8")


def asked(name, label, text="ab他c"):
    target = {"span1_text": name, "span1_index": 0, "span2_text": "他", "span2_index": 2}
    return {"target": target, "text": text, "label": label}


def test_names_of_one_pronoun_are_choices_where_one_is_right(rows, tmp_path):
    found = [
        asked("a", "false"),
        asked("b", "true"),
        asked("a", "true", "xy他z"),
        asked("c", "true", "xy他z"),
    ]
    for name in ("train_few_all", "dev_few_all", "test_public"):
        write(tmp_path, name, *found)
    (only,) = rows.cluewsc_choices(tmp_path).train
    assert (only.text, only.choices, only.label) == ("ab【他】c", ("a", "b"), 1)
    pairs = rows.cluewsc_pairs(tmp_path).test
    assert pairs[0] == TextExample("ab【他】c", "他：a", "false")
    assert len(pairs) == 4


def test_the_note_of_a_row_names_every_cap(rows):
    for row in rows.ROWS:
        assert f"{row.epochs} epochs" in row.note
        assert not row.rows or f"{row.rows:,} training rows" in row.note
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)


def test_what_belongs_to_no_class_is_scored_apart(benchmark):
    pytest.importorskip("transformers", reason="transformers is not installed")
    cells = benchmark("cells_classify")
    test = [TextExample("", label=label) for label in ("a", "b", "oos", "oos", "oos")]
    scores = cells.out_of_scope(["a", "oos", "oos", "oos", "b"], test)
    assert scores["in_scope_accuracy"] == 0.5
    assert scores["out_of_scope_recall"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == pytest.approx(3 / 5)
