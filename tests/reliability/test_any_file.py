"""Any file for any reader: what comes out is examples or an InputError, never another exception.

Each case is a file as a reader wants it with some values put into the wrong places, or with some bytes
changed, or cut short; a few are made of nothing but odd lines. `make test` draws some dozens for each reader.
The long form draws 10^5 altogether, and others with another seed:

    pytest -m slow tests/reliability/test_any_file.py --hypothesis-seed=1
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from damaged_files import damage, damaged, safetensors
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from minibert.checkpoint import load_tensors, read_table
from minibert.config import from_dict, read_file
from minibert.data.readers import read_documents, read_texts
from minibert.data.rows import rows_of
from minibert.data.searches import read_judgements
from minibert.data.tagged import read_tagged
from minibert.durable import MANIFEST, read_manifest
from minibert.errors import InputError
from minibert.evaluation.printed_report import read_report
from minibert.evaluation.swaps import read_pairs
from minibert.interop.tensors import stored_tensors
from minibert.model.config import EncoderConfig
from minibert.output.record import refuse_changes
from minibert.tasks.model import TASKS
from minibert.training.config import TrainingConfig
from minibert.training.log import read_log

pytestmark = pytest.mark.usefixtures("nothing_executes")

LONG = settings(max_examples=4500, derandomize=False)
ARTICLE = {
    "context": "The cat sees the dog.",
    "qas": [
        {"id": "1", "question": "Who sees?", "answers": [{"text": "The cat", "answer_start": 0}]},
        {"id": "2", "question": "Who runs?", "answers": [], "is_impossible": True},
    ],
}
ROWS: dict[str, list[Any]] = {
    "classification": [{"text": "a cat", "label": "x"}, {"text": "a dog", "pair": "b", "label": 1}],
    "multi_label": [{"text": "a cat", "labels": ["x", "y"]}, {"text": "a dog", "labels": []}],
    "regression": [{"text": "a cat", "score": 1.5}, {"text": "a dog", "score": 2}],
    "multiple_choice": [{"text": "a cat", "question": "who?", "choices": ["a", "b"], "label": 1}],
    "tagging": [
        {"tokens": ["a", "cat"], "tags": ["O", "B-X"]},
        {"text": "a cat", "entities": [{"start": 2, "end": 5, "label": "X"}]},
    ],
    "intent_slots": [{"tokens": ["a", "cat"], "tags": ["O", "B-X"], "intent": "look"}],
    "relations": [{"text": "<e1>a</e1> of <e2>b</e2>", "relation": "of"}],
    "question_answering": [
        {"question": "Who?", "context": "A cat.", "answers": {"text": ["A"], "answer_start": [0]}}
    ],
    "retrieval": [
        {"query": "who?", "positive": "a cat", "negatives": ["a dog"]},
        {"turns": ["Tea?", "Yes."]},
    ],
    "extractive_summary": [{"text": "A cat. A dog.", "summary": "A cat."}],
    "seq2seq": [{"source": "a cat", "target": "a dog"}],
}
DOCUMENTS = [
    {"sentences": [["a", "b"]], "ner": [[[0, 0, "X"], [1, 1, "Y"]]], "relations": [[[1, 1, 0, 0, "of"]]]}
]
KEYS = (
    "text label tokens start end data paragraphs context qas answers answer_start files size sha256".split()
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["F32", "I64", "0", "-1", "<e1>", "B-X", "\x00", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
changes = st.lists(st.tuples(st.floats(0, 1), anything), min_size=1, max_size=3)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a value."""
    yield above
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*above, key))


def changed(value: Any, wrong: list[tuple[float, Any]]) -> Any:
    """Return a copy of a value with other values in some of its places."""
    for share, other in wrong:
        value = json.loads(json.dumps(value))
        ways = list(places(value))
        *way, last = (None, *ways[int(share * (len(ways) - 1))])
        if last is None:
            return other
        inside = value
        for key in way[1:]:
            inside = inside[key]
        inside[last] = other
    return value


def read_run_files(folder: Path) -> list[Callable[[], Any]]:
    """Return what reads files of an output folder."""
    return [
        lambda: read_manifest(folder),
        lambda: refuse_changes(folder, {"data": {"train": {"sha256": "x"}}, "settings": {"train": {}}}),
        lambda: read_log(folder, "train"),
        lambda: EncoderConfig.from_dict(read_table(folder / "run.json")),
        lambda: from_dict(TrainingConfig, read_file(folder / "run.json")),
    ]


def each(*calls: Callable[[], Any]) -> None:
    """Make calls of which each returns or raises InputError."""
    for call in calls:
        with suppress(InputError):
            call()


def check_rows(folder: Path, name: str, wrong: list[tuple[float, Any]]) -> None:
    path = folder / f"{name}.jsonl"
    rows = changed(ROWS[name], wrong)
    lines = rows if isinstance(rows, list) else [rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    each(partial(TASKS[name].read, path), partial(TASKS[name].read_unanswered, path))


def check_squad(folder: Path, wrong: list[tuple[float, Any]], how: Any) -> None:
    path = folder / "questions.json"
    whole = changed({"version": "1", "data": [{"title": "t", "paragraphs": [ARTICLE]}]}, wrong)
    path.write_bytes(damaged(json.dumps(whole).encode(), *how))
    each(partial(TASKS["question_answering"].read, path))


def check_documents(folder: Path, wrong: list[tuple[float, Any]]) -> None:
    path = folder / "documents.jsonl"
    path.write_text(json.dumps(changed(DOCUMENTS, wrong)) + "\n", encoding="utf-8")
    each(partial(TASKS["relations"].read, path))


RECORD = {
    "format": 1,
    "step": 3,
    "state": "finished",
    "data": {"train": {"sha256": "x", "size": 1}},
    "settings": {"train": {"seed": 1, "max_steps": 3}},
    "files": {"a": {"size": 1, "sha256": "x"}},
    "hidden_size": 8,
    "vocab_size": 9,
}


def check_run_files(folder: Path, wrong: list[tuple[float, Any]]) -> None:
    text = json.dumps(changed(RECORD, wrong))
    for name in (MANIFEST, "run.json", "log.jsonl"):
        (folder / name).write_text(text + "\n", encoding="utf-8")
    each(*read_run_files(folder))


HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
}


def check_header(folder: Path, wrong: list[tuple[float, Any]], length: int | None, data: bytes) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(safetensors(changed(HEADER, wrong), data, length=length))
    each(lambda: load_tensors(path), lambda: stored_tensors(folder))


REPORT = b"""              precision    recall  f1-score   support

           a       0.50      0.50      0.50         2

    accuracy                           0.50         2
"""
TEXTS: dict[str, tuple[bytes, tuple[Callable[[Path], Any], ...]]] = {
    ".csv": (b'text,label\n"a, b",x\n"c ""d""",y\n', (read_texts, read_tagged, read_pairs)),
    ".tsv": (b"text\tlabel\na\tx\nb\ty\n", (read_texts, read_judgements, read_pairs)),
    ".txt": ("a b\n\n一二\n\nc".encode(), (read_texts, read_report, read_judgements)),
    ".conll": (b"Anna B-PER\nsaw O\n\n-DOCSTART- O\n\nRome B-LOC\n", (read_tagged,)),
    ".conllu": (b"# text = a\n1\ta\ta\tDET\t_\t_\t0\troot\t_\t_\n1-2\tb\n\n", (read_tagged,)),
    ".toml": (b'[train]\nseed = 1\nbetas = [0.9, 0.98]\n[data]\nname = "x"\n', (read_file,)),
    ".json": (b'{"text": "a", "label": "x"}', (read_file, read_texts)),
    ".report": (REPORT, (read_report,)),
}
ODD_LINES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(
            [b"text,label", b'"a,b"', b"", b'"', b"[[[[", b'{"text": {}}', b"Anna B-PER", b"1\ta\t_\tNOUN"]
        ),
    ),
    max_size=8,
).map(b"\n".join)


def check_text(folder: Path, suffix: str, content: bytes) -> None:
    """Read any bytes as examples, as rows and as documents; an error names the file."""
    path = folder / f"file{suffix}"
    path.write_bytes(content)
    for read in (*TEXTS[suffix][1], lambda p: list(read_documents(p)), lambda p: list(rows_of(p))):
        try:
            read(path)
        except InputError as error:
            assert str(path) in str(error)


def contents(suffix: str) -> st.SearchStrategy[bytes]:
    """Return files of a kind that are damaged, and files of odd lines."""
    return st.one_of(damage.map(lambda how: damaged(TEXTS[suffix][0], *how)), ODD_LINES)


lengths = st.one_of(st.none(), st.integers(0, 2**64 - 1), st.integers(0, 200))
JSON = {"documents": check_documents, "run files": check_run_files}


def test_every_sample_can_be_read(tmp_path):
    """What is damaged below is something that a reader takes as it is."""
    for name, rows in ROWS.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
        assert TASKS[name].read(path), name
    (tmp_path / "a.jsonl").write_text(json.dumps(DOCUMENTS[0]), encoding="utf-8")
    assert TASKS["relations"].read(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": [ARTICLE]}]}), encoding="utf-8")
    assert len(TASKS["question_answering"].read(tmp_path / "a.json")) == 2
    (tmp_path / "a.safetensors").write_bytes(safetensors(HEADER, bytes(16)))
    assert set(load_tensors(tmp_path / "a.safetensors")) == {"a", "b"}
    for suffix, (content, (read, *_)) in TEXTS.items():
        (tmp_path / f"a{suffix}").write_bytes(content)
        assert read(tmp_path / f"a{suffix}"), suffix


def test_a_value_is_changed_where_it_stands():
    assert changed({"a": [1, {"b": 2}]}, [(1.0, 3)]) == {"a": [1, {"b": 3}]}
    assert changed({"a": [1, 2]}, [(0.0, None)]) is None
    assert list(places([{"a": 1}])) == [(), (0,), (0, "a")]


@pytest.mark.parametrize("name", ROWS)
@drawn(wrong=changes)
def test_rows_with_wrong_values(tmp_path, name, wrong):
    check_rows(tmp_path, name, wrong)


@pytest.mark.parametrize("suffix", TEXTS)
@drawn(data=st.data())
def test_any_bytes(tmp_path, suffix, data):
    check_text(tmp_path, suffix, data.draw(contents(suffix)))


@drawn(wrong=changes, how=damage)
def test_questions_with_wrong_values(tmp_path, wrong, how):
    check_squad(tmp_path, wrong, how)


@pytest.mark.parametrize("name", JSON)
@drawn(wrong=changes)
def test_json_with_wrong_values(tmp_path, name, wrong):
    JSON[name](tmp_path, wrong)


@drawn(wrong=changes, length=lengths, data=st.binary(max_size=64))
def test_headers_with_wrong_values(tmp_path, wrong, length, data):
    check_header(tmp_path, wrong, length, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
@LONG
@drawn(wrong=changes)
def test_many_rows(tmp_path, name, wrong):
    check_rows(tmp_path, name, wrong)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", TEXTS)
@LONG
@drawn(data=st.data())
def test_many_bytes(tmp_path, suffix, data):
    check_text(tmp_path, suffix, data.draw(contents(suffix)))


@pytest.mark.slow
@LONG
@drawn(wrong=changes, how=damage)
def test_many_questions(tmp_path, wrong, how):
    check_squad(tmp_path, wrong, how)


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON)
@LONG
@drawn(wrong=changes)
def test_many_json_files(tmp_path, name, wrong):
    JSON[name](tmp_path, wrong)


@pytest.mark.slow
@LONG
@drawn(wrong=changes, length=lengths, data=st.binary(max_size=64))
def test_many_headers(tmp_path, wrong, length, data):
    check_header(tmp_path, wrong, length, data)
