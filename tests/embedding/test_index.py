"""An index finds what a plain product finds, is whole or absent, and knows its encoder."""

import json
import sys

import numpy as np
import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.embedding import index as module
from minibert.embedding.documents import Document, numbered, read_searched
from minibert.embedding.index import Index, best_of, build_index
from minibert.errors import InputError, MissingExtra

TEXTS = [tiny_runs.sentence(number) for number in range(29)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return mb.load_encoder(tiny_runs.make_encoder(tmp_path_factory.mktemp("index") / "enc"))


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "idx"
    build_index(encoder, (Document(f"d{n}", text) for n, text in enumerate(TEXTS)), path, dtype="float32")
    return path


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_search_finds_what_a_plain_product_finds(encoder, tmp_path, monkeypatch, similarity):
    monkeypatch.setattr(module, "BLOCK", 7)
    index = build_index(encoder, TEXTS, tmp_path / "idx", dtype="float32", similarity=similarity)
    normalize = similarity == "cosine"
    queries = encoder.embed(["The cat sees", "stones", "The bird"], normalize=normalize)
    wanted = queries @ encoder.embed(TEXTS, normalize=normalize).T
    scores, rows = index.nearest(queries, 11)
    np.testing.assert_array_equal(rows, np.argsort(-wanted, axis=1, kind="stable")[:, :11])
    np.testing.assert_allclose(scores, -np.sort(-wanted, axis=1)[:, :11], rtol=1e-5)
    hits = index.search(queries, 11)
    assert [[hit.text for hit in line] for line in hits] == [[TEXTS[row] for row in line] for line in rows]
    assert [hit.id for hit in hits[0]] == [str(row) for row in rows[0]]


def test_every_text_finds_itself_in_half_precision_too(encoder, tmp_path):
    index = build_index(encoder, TEXTS, tmp_path / "idx")
    assert index.settings.dtype == "float16"
    assert (tmp_path / "idx" / "vectors.bin").stat().st_size == len(TEXTS) * 32 * 2
    for text, (hit,) in zip(TEXTS, index.search(encoder.embed(TEXTS), 1), strict=True):
        assert hit.text == text
        assert hit.score == pytest.approx(1, abs=2e-3)


def test_texts_and_ids_come_back_as_they_were(encoder, tmp_path):
    documents = [Document("a b", 'line\nand "quotes"'), Document("ü", "漢字 \U0001f600"), Document("", "-")]
    index = build_index(encoder, documents, tmp_path / "idx")
    assert [index.document(row) for row in range(3)] == [(each.id, each.text) for each in documents]


def test_best_of_is_a_stable_sort_cut_off():
    draw = np.random.default_rng(0)
    for _ in range(50):
        scores = draw.integers(0, 4, (3, int(draw.integers(1, 12)))).astype(np.float32)
        rows = np.broadcast_to(np.arange(scores.shape[1]) + 100, scores.shape)
        top = int(draw.integers(1, 14))
        found_scores, found = best_of(scores, rows, top)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        np.testing.assert_array_equal(found, order + 100)
        np.testing.assert_array_equal(found_scores, np.take_along_axis(scores, order, 1))


def test_building_reads_the_stream_once_and_replaces_what_stood_there(encoder, folder, tmp_path):
    path = tmp_path / "idx"
    build_index(encoder, TEXTS, path)
    assert len(build_index(encoder, iter(TEXTS[:3]), path)) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["idx"]


def test_a_build_that_fails_leaves_the_earlier_index(encoder, tmp_path):
    path = tmp_path / "idx"
    build_index(encoder, TEXTS, path)

    def broken():
        yield "fine"
        raise OSError("no space left")

    for documents, error in ((broken(), OSError), ([], InputError), ([Document("x", "a")] * 2, InputError)):
        with pytest.raises(error):
            build_index(encoder, documents, path)
        assert len(Index(path)) == len(TEXTS)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["idx"]


def test_another_encoder_is_noticed(encoder, folder, tmp_path):
    index = Index(folder)
    index.check(encoder)
    other = mb.load_encoder(tiny_runs.make_encoder(tmp_path / "enc"))
    index.check(other)
    with torch.no_grad():
        other.encoder.blocks[0].feed_forward.output.weight.mul_(-30)
    with pytest.raises(InputError, match="built with another encoder"):
        index.check(other)


@pytest.mark.parametrize("name", ["vectors.bin", "offsets.bin"])
def test_a_file_that_was_cut_short_is_refused(encoder, tmp_path, name):
    build_index(encoder, TEXTS, tmp_path / "idx")
    path = tmp_path / "idx" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=f"{name}.*build the index anew"):
        Index(tmp_path / "idx")
    path.unlink()
    with pytest.raises(InputError, match="0 bytes"):
        Index(tmp_path / "idx")


def test_what_is_no_index_or_no_query_is_refused(encoder, folder, tmp_path):
    with pytest.raises(InputError, match="it is no index"):
        Index(tmp_path)
    (tmp_path / "index.json").write_text('{"count": 3}')
    with pytest.raises(InputError, match="not of an index"):
        Index(tmp_path)
    index = Index(folder)
    for queries in (np.zeros((2, 31)), np.zeros(32)):
        with pytest.raises(InputError, match=r"\(queries, 32\)"):
            index.nearest(queries)
    for top_k in (0, 2.5, "3"):
        with pytest.raises(InputError, match=f"top_k {top_k!r}: give a whole number"):
            index.nearest(np.zeros((1, 32)), top_k)
    for queries in ("stones", ["stones"], [["a"] * 32]):
        with pytest.raises(InputError, match=r"no vectors; give encoder\.embed"):
            index.search(queries)
    queries = np.zeros((3, 32))
    for bad in (np.nan, np.inf):
        queries[1, 5] = bad
        with pytest.raises(InputError, match="query 1 of 3 holds NaN or infinity"):
            index.search(queries)
    for choice in ({"dtype": "int8"}, {"similarity": "l2"}, {"kind": "ivf"}):
        with pytest.raises(InputError, match=next(iter(choice.values()))):
            build_index(encoder, TEXTS, tmp_path / "idx", **choice)


def test_a_graph_finds_nearly_all_that_exact_search_finds(encoder, tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed")
    texts = [tiny_runs.sentence(number) for number in range(300)]
    texts = list(dict.fromkeys(texts))
    exact = build_index(encoder, texts, tmp_path / "exact", dtype="float32")
    index = build_index(encoder, texts, tmp_path / "graph", dtype="float32", kind="hnsw")
    queries = encoder.embed([tiny_runs.sentence(number)[4:20] for number in range(40)])
    wanted_scores, wanted = exact.nearest(queries, 10)
    scores, rows = index.nearest(queries, 10)
    shared = [len(set(mine) & set(theirs)) for mine, theirs in zip(rows, wanted, strict=True)]
    assert sum(shared) >= 0.95 * wanted.size
    np.testing.assert_allclose(scores[:, 0], wanted_scores[:, 0], atol=1e-5)
    assert index.search(queries[:1], 1)[0][0].text in texts
    (tmp_path / "graph" / "hnsw.faiss").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="missing or damaged"):
        Index(tmp_path / "graph")


def test_without_faiss_a_graph_is_refused_before_anything_is_read(encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"minibert-encoder\[faiss\]"):
        build_index(encoder, TEXTS, tmp_path / "idx", kind="hnsw")
    assert not (tmp_path / "idx").exists()


def test_documents_come_from_the_usual_columns(tmp_path):
    path = tmp_path / "docs.jsonl"
    rows = [
        {"_id": 7, "title": "Cats", "text": "They sat."},
        {"_id": "8", "title": "Dogs", "text": "Dogs ran."},
        {"_id": "9", "title": "", "text": "Birds."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert list(read_searched(path)) == [
        Document("7", "Cats\nThey sat."), Document("8", "Dogs ran."), Document("9", "Birds.")
    ]  # fmt: skip
    assert [each.id for each in read_searched(path, id_column="title")] == ["Cats", "Dogs", ""]
    (tmp_path / "t.txt").write_text("one\n\ntwo\n")
    assert list(read_searched(tmp_path / "t.txt")) == [Document("0", "one"), Document("1", "two")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "x"}, "line 1: no column 'text'; there are name"),
        ({"text": 3}, "line 1: 'text' is 3; a text is wanted"),
        ({"text": None}, "line 1: no value for 'text'"),
    ],
)
def test_rows_without_a_text_are_refused_with_their_place(tmp_path, row, message):
    path = tmp_path / "docs.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match=message):
        list(read_searched(path))


def test_a_document_that_is_no_text_is_refused():
    with pytest.raises(InputError, match="document '1' is 3"):
        list(numbered(["a", 3]))


def test_letters_of_one_string_are_no_documents(encoder, tmp_path):
    with pytest.raises(InputError, match="documents is one string, 'a warm film'; give a list"):
        build_index(encoder, "a warm film", tmp_path / "idx")
    assert not (tmp_path / "idx").exists()


@pytest.mark.parametrize("empty", ["", " \n\t"])
def test_an_empty_document_is_refused_for_it_would_win(encoder, tmp_path, empty):
    with pytest.raises(InputError, match=r"document 1, id '1', is empty.*leave it out"):
        build_index(encoder, ["a warm film", empty], tmp_path / "idx")


def test_rows_without_a_text_are_left_out_of_a_file_and_the_others_keep_their_number(tmp_path, capsys):
    path = tmp_path / "docs.csv"
    path.write_text('text,title\none,\n"",\n" ",\ntwo,\n,but a title\n', "utf-8")
    kept = [Document("0", "one"), Document("3", "two"), Document("4", "but a title\n")]
    assert list(read_searched(path)) == kept
    assert "docs.csv: 2 of 5 rows have no text and are left out" in capsys.readouterr().err


def test_an_id_that_comes_twice_is_told_with_both_places(tmp_path):
    with pytest.raises(InputError, match="documents 0 and 2 have the same id 'x'"):
        list(numbered([Document("x", "a"), Document("y", "b"), Document("x", "c")]))
    path = tmp_path / "docs.csv"
    path.write_text("id,text\nx,a\ny,b\nx,c\n", "utf-8")
    with pytest.raises(InputError, match=r"docs\.csv, line 4: the id 'x' stands in line 2 too"):
        list(read_searched(path))
