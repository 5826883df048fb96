"""Intents, slots and relations from the command line, from files to rows; and what is refused."""

import io
import json

import pytest
import tiny_runs

from minibert.cli import main

FAST = ("--no-progress", "--fp32", "--max-steps", "3")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an encoder, data of both tasks, and a model for each."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_runs.make_encoder(folder / "enc")
    requests = [
        {"tokens": f"the {noun} sees the road".split(), "tags": ["O", "B-who", "O", "O", "O"], "intent": kind}
        for noun, kind in tiny_runs.CLASSES.items()
    ]
    pairs = [
        {"text": f"The <e1>{a}</e1> sees the <e2>{b}</e2>.", "relation": f"sees({first},{second})"}
        for a, b, first, second in (("cat", "dog", "e1", "e2"), ("dog", "stone", "e2", "e1"))
    ] + [{"text": "A <e2>cat</e2> and a <e1>dog</e1>.", "relation": "Other"}]
    write_rows(folder / "requests.jsonl", requests)
    write_rows(folder / "pairs.jsonl", pairs)
    for task, name in (("intent_slots", "requests"), ("relations", "pairs")):
        data = folder / f"{name}.jsonl"
        assert run("finetune", "--task", task, "--model", folder / "enc", "--train-file", data,
                   "--validation-file", data, "--output-dir", folder / task, *FAST) == 0  # fmt: skip
    return folder


def last_line(text: str) -> dict:
    return json.loads(text.strip().splitlines()[-1])


def test_requests_are_scored_and_predicted(folder, capsys):
    model = folder / "intent_slots"
    assert run("evaluate", "--model", model, "--file", folder / "requests.jsonl") == 0
    out = capsys.readouterr().out
    assert "spans of who: precision" in out
    assert {"sentence_accuracy", "intent_accuracy", "slot_f1"} <= last_line(out).keys()
    assert run("predict", "--model", model, "the cat sees", "--file", folder / "requests.jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 5
    assert {row["intent"] for row in rows} <= {"animal", "thing"}
    assert all(
        row["text"][slot["start"] : slot["end"]] == slot["text"] for row in rows for slot in row["slots"]
    )


def test_pairs_are_scored_and_predicted(folder, capsys):
    model = folder / "relations"
    assert run("evaluate", "--model", model, "--file", folder / "pairs.jsonl") == 0
    out = capsys.readouterr().out
    assert "gold \\ predicted" in out
    assert {"macro_f1", "micro_f1", "accuracy"} <= last_line(out).keys()
    marked = "the <e2>road</e2> moves a <e1>cat</e1>"
    assert run("predict", "--model", model, marked, "--file", folder / "pairs.jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4
    assert rows[0]["text"] == "the road moves a cat"
    assert rows[0]["head"] == {"start": 17, "end": 20, "text": "cat"}
    assert rows[0]["relation"] in ("Other", "sees(e1,e2)", "sees(e2,e1)")


def test_tags_are_read_from_the_column_that_is_named(folder, tmp_path, capsys):
    columns = tmp_path / "train.txt"
    columns.write_text("Anna NNP B-PER\nlives VBZ O\n\nBob NNP B-PER\nsees VBZ O\n" * 2, encoding="utf-8")
    assert run("finetune", "--task", "tagging", "--model", folder / "enc", "--train-file", columns,
               "--tag-column", "1", "--output-dir", tmp_path / "pos", *FAST) == 0  # fmt: skip
    assert run("evaluate", "--model", tmp_path / "pos", "--file", columns, "--tag-column", "1") == 0
    assert last_line(capsys.readouterr().out)["confusion"]["labels"] == ["NNP", "VBZ"]


@pytest.mark.parametrize(
    ("model", "row", "message"),
    [
        ("relations", {"text": "A <e1>cat</e1>", "relation": "Other"}, "line 1: <e2> is missing"),
        ("relations", {"text": "<e1>a</e1> <e2>b</e2>"}, "example 1 has no label"),
        ("relations", {"text": "<e1>a</e1> <e2>b</e2>", "relation": "eats"}, "'eats' was never seen"),
        ("relations", {"text": "a b", "head": "a", "relation": "Other"}, "only one mention, head 'a'"),
        ("intent_slots", {"tokens": ["a", "b"], "tags": ["O"], "intent": "x"}, "2 tokens need as many tags"),
        ("intent_slots", {"tokens": ["a"], "tags": ["O"]}, "example 1 has no label"),
    ],
)
def test_what_makes_no_sense_ends_with_a_message(folder, tmp_path, capsys, model, row, message):
    path = write_rows(tmp_path / "bad.jsonl", [row])
    assert run("evaluate", "--model", folder / model, "--file", path) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert message in err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def tagger(folder):
    """A tagger of the requests' words."""
    columns = folder / "words.conll"
    columns.write_text("The O\ncat B-who\nsees O\nthe O\ndog B-who\n\n", "utf-8")
    assert run("finetune", "--task", "tagging", "--model", folder / "enc", "--train-file", columns,
               "--output-dir", folder / "names", *FAST) == 0  # fmt: skip
    return folder / "names"


def test_entities_and_relations_of_texts_are_printed_line_by_line(folder, tagger, capsys, monkeypatch):
    file = write_rows(folder / "texts.jsonl", [{"text": "A stone.", "sentence": "The dog sees the cat."}])
    monkeypatch.setattr("sys.stdin", io.StringIO("The cat sleeps.\n\n"))
    asked = ("--tagger", tagger, "--relater", folder / "relations")
    assert (
        run("extract", "The cat sees the dog.", "-", *asked, "--file", file, "--text-column", "sentence") == 0
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == [
        "The cat sees the dog.",
        "The cat sleeps.",
        "The dog sees the cat.",
    ]
    for row in rows:
        ends = [end for relation in row["relations"] for end in (relation["head"], relation["tail"])]
        assert all(row["text"][one["start"] : one["end"]] == one["text"] for one in row["entities"] + ends)
        assert all(0 <= relation["probability"] <= 1 for relation in row["relations"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to read; give texts"),
        ((" ",), "text 1 is empty"),
        (("a", "--text-column", "body", "--file", "requests.jsonl"), "body"),
        (("a", "--tagger", "relations"), "the tagger is a model of relations; tagging of spans is wanted"),
        (("a", "--relater", "intent_slots"), "the relater is a model of intent_slots; relations is wanted"),
    ],
)
def test_what_extract_cannot_use_is_told(folder, tagger, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert run("extract", "--tagger", tagger, "--relater", "relations", *arguments) == 2
    assert message in capsys.readouterr().err
