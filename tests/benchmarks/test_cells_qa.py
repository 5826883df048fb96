"""The cells of question answering: who takes part, the baseline, and that others get our very windows."""

import importlib
from pathlib import Path

import pytest

from minibert.data.examples import GoldAnswer, QuestionExample
from minibert.model.config import EncoderConfig
from minibert.tasks.question_answering import QuestionAnswering
from minibert.text.sentencepiece import train_sentencepiece


@pytest.fixture
def cells_qa(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    return importlib.import_module("cells_qa")


def test_every_row_has_a_baseline_and_every_cap_is_named(cells_qa):
    cells = importlib.import_module("cells")
    places = cells.Places(Path("data"), Path("en"), Path("zh"), Path("scratch"))
    found = cells_qa.cells(places)
    assert len({(cell.row, cell.contestant) for cell in found}) == len(found)
    rows = {cell.row for cell in found}
    assert {"squad_dev_subset", "cmrc2018", "drcd"} <= rows
    capped = [cell for cell in found if cell.row == "squad_dev_subset" and cell.recipe]
    assert all(f"{cells_qa.PART:,} questions learnt" in cell.note for cell in capped)
    without = cells_qa.cells(cells.Places(Path("data"), Path("en"), None, Path("scratch")))
    assert {cell.row for cell in without if cell.recipe} == {row for row in rows if "squad" in row}


@pytest.mark.parametrize(
    ("question", "passage", "answer"),
    [
        ("Who wrote the book?", "It rained. Ada Lovelace wrote the book! He ran.", "Ada Lovelace"),
        ("谁写了这本书？", "下雨了。这本书是鲁迅写了。", "是鲁迅"),
        ("Who?", "Who?", ""),
        ("Who?", "...", ""),
    ],
)
def test_the_baseline_is_what_its_page_says(cells_qa, question, passage, answer):
    assert cells_qa.guess(QuestionExample(question, passage)) == answer


def test_others_are_given_our_windows_and_the_places_of_the_first_answer(cells_qa):
    tokenizer = train_sentencepiece(["Ada wrote to Bob.", "Who wrote the list of the lists?"] * 40, 280)
    golds = (GoldAnswer("Ada", 0), GoldAnswer("Ada wrote", 0))
    example = QuestionExample("Who wrote?", "Ada wrote to Bob.", golds)
    shape = EncoderConfig(280, 12, 1, 2, 14, max_position_embeddings=61)
    task = QuestionAnswering.build(tokenizer, shape, [example], {"gold_answers": "first"})
    (window,) = task.encode(example)
    row = cells_qa.row_of(window)
    assert row["input_ids"] == window.tokens.ids.tolist()
    assert len(row["attention_mask"]) == len(row["token_type_ids"]) == len(window)
    offsets = window.tokens.offsets
    start, end = offsets[row["start_positions"]][0], offsets[row["end_positions"]][1]
    assert example.passage[start:end] == "Ada"
