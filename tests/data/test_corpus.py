"""A corpus on disk: the same ids whoever makes them, made once, and never half made."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeTokenizer

from minibert.data import corpus as corpus_module
from minibert.data.corpus import Corpus, build_corpus
from minibert.data.tokenizing import STRETCH, stretches, tokenize_in_processes
from minibert.errors import InputError
from minibert.text.sentencepiece import train_sentencepiece


class SavedFake(FakeTokenizer):
    """A fake whose files say what it is, and which counts how often it is asked."""

    asked = 0

    def save(self, folder):
        (folder / "fake.json").write_text(json.dumps(self.pieces[:10]))

    def encode_ids(self, texts):
        self.asked += 1
        return super().encode_ids(texts)


@pytest.fixture
def tokenizer():
    return SavedFake(9, ["a", "b", "c", "d"])


@pytest.fixture
def files(tmp_path):
    (tmp_path / "1.txt").write_text("a b\nb\n\nc\n")
    (tmp_path / "2.jsonl").write_text('{"text": "d d a"}\n')
    return [tmp_path / "1.txt", tmp_path / "2.jsonl"]


def test_documents_lie_end_to_end(files, tokenizer, tmp_path):
    corpus = build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    assert [ids.tolist() for ids in (corpus[0], corpus[1], corpus[2])] == [[5, 6, 6], [7], [8, 8, 5]]
    assert (len(corpus), corpus.tokens, corpus.ids.dtype, corpus.bounds.dtype) == (3, 7, np.uint16, np.int64)
    assert isinstance(corpus.ids, np.memmap)
    with pytest.raises(IndexError, match="document 3 of 3"):
        corpus[3]
    assert len(list(corpus)) == 3


def test_counts_and_entropy_are_those_of_the_ids(files, tokenizer, tmp_path):
    corpus = build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    assert corpus.counts(9).tolist() == [0, 0, 0, 0, 0, 2, 2, 1, 2]
    entropy = -3 * (2 / 7) * math.log(2 / 7) - (1 / 7) * math.log(1 / 7)
    assert corpus.unigram_entropy() == pytest.approx(entropy)
    assert corpus.unigram_entropy(9) == pytest.approx(entropy)
    with pytest.raises(InputError, match="holds id 8, the vocabulary ends at 6"):
        corpus.counts(7)


def test_a_large_vocabulary_takes_four_bytes_for_an_id(files, tmp_path):
    words = [*map(str, range(70_000)), "a", "b", "c", "d"]
    corpus = build_corpus(files, SavedFake(70_009, words), tmp_path / "corpus", progress=False)
    assert corpus.ids.dtype == np.uint32
    assert corpus[1].tolist() == [70_007]


def test_the_same_files_and_tokenizer_are_tokenized_once(files, tokenizer, tmp_path):
    def build(tokenizer):
        before = tokenizer.asked
        build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
        return tokenizer.asked > before

    assert build(tokenizer)
    assert not build(tokenizer)
    assert build(SavedFake(9, ["a", "b", "d", "c"]))
    assert build(tokenizer)
    files[0].write_text("a b\nb\n\nd\n")
    assert build(tokenizer)
    assert not build(tokenizer)


def test_an_interrupted_build_leaves_the_old_corpus_and_no_litter(files, tokenizer, tmp_path):
    build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    files[1].write_bytes(b'{"text": "a"}\n\xff\n')
    with pytest.raises(InputError, match="line 2, byte 0xFF"):
        build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == [
        "bounds.npy",
        "corpus.json",
        "ids.bin",
    ]
    assert Corpus.open(tmp_path / "corpus").tokens == 7


def test_other_files_in_the_folder_are_left_alone(files, tokenizer, tmp_path):
    build_corpus(files, tokenizer, tmp_path, progress=False)
    assert files[0].read_text() == "a b\nb\n\nc\n"
    assert Corpus.open(tmp_path).tokens == 7


@pytest.mark.parametrize("name", ["ids.bin", "bounds.npy", "corpus.json"])
@pytest.mark.parametrize("change", ["cut", "longer", "gone"])
def test_a_damaged_corpus_is_named(files, tokenizer, tmp_path, name, change):
    folder = tmp_path / "corpus"
    build_corpus(files, tokenizer, folder, progress=False)
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if change != "gone":
        (folder / name).write_bytes(content[:-2] if change == "cut" else b"\1\0" + content)
    with pytest.raises(InputError, match=r"damaged|is missing|cannot be read"):
        Corpus.open(folder)


def test_bounds_out_of_order_are_refused(files, tokenizer, tmp_path):
    build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    np.save(tmp_path / "corpus" / "bounds.npy", np.array([0, 5, 3, 7]))
    with pytest.raises(InputError, match="damaged"):
        Corpus.open(tmp_path / "corpus")


def test_a_halt_between_the_renames_mixes_no_two_corpora(files, tokenizer, tmp_path, monkeypatch):
    build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    files[1].write_text('{"text": "a b c"}\n')
    rename = Path.replace

    def halting(self, target):
        if "bounds" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", halting)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"corpus\.json is missing"):
        Corpus.open(tmp_path / "corpus")
    assert build_corpus(files, tokenizer, tmp_path / "corpus", progress=False)[2].tolist() == [5, 6, 7]


def test_files_without_text_are_refused(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(InputError, match="hold no text"):
        build_corpus([tmp_path / "a.txt"], tokenizer, tmp_path / "corpus", progress=False)
    with pytest.raises(InputError, match=r"gone\.txt"):
        build_corpus([tmp_path / "gone.txt"], tokenizer, tmp_path / "corpus")
    with pytest.raises(InputError, match="workers 0"):
        build_corpus([tmp_path / "a.txt"], tokenizer, tmp_path / "corpus", workers=0)


def test_progress_is_told_on_stderr_only_if_wanted(files, tokenizer, tmp_path, capsys):
    build_corpus(files, tokenizer, tmp_path / "quiet", progress=False)
    assert capsys.readouterr() == ("", "")
    build_corpus(files, tokenizer, tmp_path / "told")
    told = capsys.readouterr()
    assert told.out == ""
    assert "3 documents" in told.err


def test_processes_change_no_byte(tmp_path):
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 7))) for _ in range(200)]
    documents = [" ".join(draw.choices(words, k=draw.randint(1, 300))) for _ in range(3000)]
    (tmp_path / "a.txt").write_text("\n\n".join(documents))
    tokenizer = train_sentencepiece(documents[:100], 400)
    one, two = (
        build_corpus([tmp_path / "a.txt"], tokenizer, tmp_path / str(n), workers=n, progress=False)
        for n in (1, 2)
    )
    assert len(list(stretches(documents))) > 1
    assert len(one) == len(documents)
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.bounds, two.bounds)
    np.testing.assert_array_equal(one[2999], tokenizer.encode_ids([documents[2999]])[0])


def test_an_error_in_a_process_reaches_the_caller(tmp_path):
    with pytest.raises(InputError, match="no tokenizer in"):
        list(tokenize_in_processes(["a"], tmp_path / "nowhere", 2))


def test_stretches_hold_all_documents_in_order_and_little_at_once():
    documents = ["x" * size for size in [STRETCH, 10, 20, STRETCH // 2, STRETCH // 2, 3 * STRETCH, 5]]
    lists = list(stretches(documents))
    assert [document for some in lists for document in some] == documents
    assert all(sum(map(len, some[:-1])) <= STRETCH for some in lists)


def test_small_corpora_start_no_processes(files, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "tokenize_in_processes", None)
    assert build_corpus(files, tokenizer, tmp_path / "corpus", progress=False).tokens == 7
