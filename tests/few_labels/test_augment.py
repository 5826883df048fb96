"""Copies whose words a language model has replaced: what changes, what never does, and files."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
import word_models
from hypothesis import given
from hypothesis import strategies as st

from minibert.cli import main
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.few_labels.augment import Masked, Replacing, augment, changed, mask_words
from minibert.tasks.task import Window

TEXTS = ["the cat sees it. it is animal.", "The road  moves well, it is THING!"]


@pytest.fixture(scope="module")
def model():
    return word_models.language_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return word_models.make_folder(tmp_path_factory.mktemp("augment") / "enc")


def test_a_share_of_the_words_changes_and_everything_else_stays(model):
    text = "the cat sees it well ,  7 times: the dog holds it!"
    for seed in range(5):
        for copy in augment(model, [text], how=Replacing(copies=4, share=0.3, seed=seed))[0]:
            old, new = text.split(), copy.split()
            assert len(old) == len(new)
            differ = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
            assert 1 <= len(differ) <= 3
            assert all(len(word_models.tokenizer().encode(b.strip("!"))) == 1 for _, b in differ)
            assert "  7 " in copy
            assert copy.endswith("!")


def test_one_word_at_least_is_replaced_and_never_by_itself(model):
    copies = augment(model, ["the cat sees"] * 40, how=Replacing(share=0.01))
    for (copy,) in copies:
        assert sum(a != b for a, b in zip(copy.split(), ["the", "cat", "sees"], strict=True)) == 1


def test_copies_are_a_function_of_the_seed_and_the_place_of_a_text_alone(model, monkeypatch):
    first = augment(model, TEXTS, how=Replacing(copies=3))
    monkeypatch.setattr("minibert.few_labels.augment.BATCH_TOKENS", 1)
    assert augment(model, TEXTS, how=Replacing(copies=3)) == first
    assert augment(model, TEXTS, how=Replacing(copies=3, seed=1)) != first
    assert augment(model, TEXTS[:1], how=Replacing(copies=2))[0] == first[0][:2]


def test_a_word_is_drawn_by_its_probability_among_the_likeliest_that_fit():
    names = ["no", "fine", "Great", "好", "good", "poor"]
    p_V = np.array([0.0, 0.2, 0.3, 0.25, 0.1, 0.05])
    drawn: Counter[str] = Counter()
    random = np.random.default_rng(0)
    for _ in range(3000):
        job = Masked("a Great one", Window(None), ((2, 7),), random)
        drawn[changed(job, p_V[None], names, 2)] += 1
    assert drawn.keys() == {"a Fine one", "a Good one"}
    assert drawn["a Fine one"] / 3000 == pytest.approx(2 / 3, abs=0.03)


@given(st.integers(1, 60), st.floats(0.05, 1.0), st.integers(0, 99))
def test_the_share_of_masked_words_is_as_asked(length, share, seed):
    task = word_models.untrained().task
    random = np.random.default_rng(seed)
    job = mask_words(task, " ".join(["cat"] * length), None, how=Replacing(share=share), random=random)
    assert len(job.spans) == len(job.window.rows) == max(1, round(share * length))
    assert (job.window.tokens.ids == task.tokenizer.mask_id).sum() == len(job.spans)
    assert all(job.text[a:b] == "cat" for a, b in job.spans)
    assert list(job.spans) == sorted(set(job.spans))


def test_a_long_text_keeps_what_the_model_does_not_see(model):
    text = " ".join(["the cat sees it"] * 30)
    (copy,) = augment(model, [text], how=Replacing(share=1.0))[0]
    assert copy.split()[-40:] == text.split()[-40:]
    assert copy.split()[:20] != text.split()[:20]


def test_a_text_without_a_whole_word_has_no_copy(model):
    assert augment(model, ["", "123 !", "xqzw"]) == [[], [], []]


def test_chinese_characters_are_replaced_by_characters():
    from minibert.model.config import EncoderConfig
    from minibert.model.encoder import Encoder
    from minibert.tasks.masked_lm import MaskedLM
    from minibert.tasks.model import Model
    from minibert.text.sentencepiece import train_sentencepiece

    lines = ["渡船早上七点离开港口，天黑以前回来。 a fine day", "老师教阅读、写字和星星的名字。"]
    tokenizer = train_sentencepiece(lines * 50, 299)
    config = EncoderConfig(tokenizer.vocab_size, 32, 1, 2, 64, max_position_embeddings=64)
    chinese = Model(Encoder(config), MaskedLM(tokenizer, config))
    (copy,) = augment(chinese, [lines[1]], how=Replacing(share=0.5))[0]
    assert len(copy) == len(lines[1])
    assert 4 <= sum(a != b for a, b in zip(copy, lines[1], strict=True)) <= 8
    assert copy.count("、") == lines[1].count("、")
    assert all("\u4e00" <= b <= "\u9fff" for a, b in zip(copy, lines[1], strict=True) if a != b)


@pytest.mark.parametrize("kind", ["byte_bpe", "modern_bpe"])
def test_byte_level_vocabularies_give_words_as_they_are_read(kind, tmp_path):
    pytest.importorskip("tokenizers")
    import foreign_tokenizers

    from minibert.model.config import EncoderConfig
    from minibert.model.encoder import Encoder
    from minibert.tasks.masked_lm import MaskedLM
    from minibert.tasks.model import Model
    from minibert.text.loading import load_tokenizer

    tokenizer = load_tokenizer(foreign_tokenizers.KINDS[kind](tmp_path / kind))
    spelt = tokenizer.tokens(tokenizer.encode("he said \u201cthe\u201d \u2014 is").ids)
    assert any(piece.startswith("\u0120\u00e2") for piece in spelt)  # bytes of a quote, as letters
    config = EncoderConfig(tokenizer.vocab_size, 32, 1, 2, 64, max_position_embeddings=64)
    untrained = Model(Encoder(config), MaskedLM(tokenizer, config))
    text = "the \u201cobject\u201d \u2014 is the value of the list"
    how = Replacing(copies=200, share=1.0, top_k=tokenizer.vocab_size)
    copies = augment(untrained, [text], how=how)[0]
    new = {word for copy in copies for word in copy.split()} - {*text.split()}
    assert len(new) > 50
    assert all(word.strip("\u201c\u201d").isascii() for word in new), sorted(new)[-5:]


def test_the_word_of_the_label_stands_beside_the_text_while_it_is_changed(model):
    how = Replacing(
        copies=20, share=0.3, top_k=3, template="{text}. it is [MASK].", verbalizer={"0": ("thing",)}
    )
    things = {noun for noun, kind in word_models.KINDS.items() if kind == "thing"}
    drawn = Counter(copy.split()[1] for copy in augment(model, ["the cat sees"], labels=["0"], how=how)[0])
    assert drawn.keys() - {"cat"} <= things  # an animal would contradict the label
    assert len(drawn) > 1
    with pytest.raises(InputError, match="2 texts and 0 labels"):
        augment(model, TEXTS, how=how)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_files_keep_all_columns_and_labels(folder, tmp_path, capsys):
    rows = [{"id": n, "text": text, "label": "ab"[n]} for n, text in enumerate(TEXTS)]
    source = write(tmp_path / "rows.jsonl", rows)
    words = ["augment", "--model", str(folder), "--file", str(source), "--copies", "2", "--output"]
    assert main([*words, str(tmp_path / "more.jsonl")]) == 0
    made = [json.loads(line) for line in (tmp_path / "more.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in made] == [0, 0, 0, 1, 1, 1]
    assert [made[0], made[3]] == rows
    assert all(row["label"] == "ab"[row["id"]] for row in made)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["copies"] == 4
    assert main([*words, str(tmp_path / "more.csv"), "--only-new"]) == 0
    with (tmp_path / "more.csv").open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert [row["text"] for row in told] == [row["text"] for row in made if row["text"] not in TEXTS]
    assert main(["augment", "--model", str(folder), "--file", str(tmp_path / "more.csv"), "--output",
                 str(tmp_path / "more.tsv")]) == 0  # fmt: skip
    assert len((tmp_path / "more.tsv").read_text("utf-8").splitlines()) == 9


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_label_is_the_same_word_in_every_kind_of_file(folder, tmp_path, suffix):
    rows = [{"text": "the cat", "label": True, "note": None}, {"text": "the dog", "label": False}]
    source, more = write(tmp_path / "rows.jsonl", rows), tmp_path / f"more{suffix}"
    assert main(["augment", "--model", str(folder), "--file", str(source), "--output", str(more)]) == 0
    assert {row.label for row in read_texts(more)} == {row.label for row in read_texts(source)}
    assert "None" not in more.read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--copies", "0"], "copies 0"),
        (["--share", "1.5"], "share 1.5"),
        (["--output", "more.txt"], "more.txt: a name that ends in"),
        (["--output", "nowhere/more.csv"], "no folder nowhere"),
        (["--text-column", "sentence"], "no column 'sentence'"),
        (["--template", "{text}"], "no [MASK]"),
        (["--verbalizer", "a=b=c,,"], "is not one label=word"),
    ],
)
def test_what_cannot_be_augmented_is_told(folder, tmp_path, monkeypatch, capsys, flags, told):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", [{"text": "the cat", "label": "a"}])
    assert main(["augment", "--model", str(folder), "--file", "rows.jsonl", "--output", "o.csv", *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_an_older_output_is_not_lost(folder, tmp_path, capsys):
    source = write(tmp_path / "rows.jsonl", [{"text": "the cat", "label": "a"}])
    words = ["augment", "--model", str(folder), "--file", str(source), "--output", str(source)]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert len(source.read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    "beside",
    [
        {"head": [0, 3], "tail": [4, 7], "label": "sees"},
        {"head": "the", "tail": "cat", "label": "sees"},
        {"tokens": ["the", "cat"], "tags": ["O", "B-animal"]},
        {"entities": [{"start": 4, "end": 7, "label": "animal"}]},
    ],
)
def test_rows_that_point_into_their_text_are_refused(folder, tmp_path, monkeypatch, capsys, beside):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", [{"text": "the cat", **beside}])
    assert main(["augment", "--model", str(folder), "--file", "rows.jsonl", "--output", "o.jsonl"]) == 2
    told = capsys.readouterr().err
    assert "would no longer be right beside a changed text" in told
    assert next(iter(beside)) in told
    assert not (tmp_path / "o.jsonl").exists()


def test_of_a_pair_it_is_said_which_text_changes(folder, tmp_path, capsys):
    rows = [{"premise": "the cat sees", "hypothesis": "the cat", "label": "a"}]
    source, more = write(tmp_path / "rows.jsonl", rows), tmp_path / "more.jsonl"
    words = ["augment", "--model", str(folder), "--file", str(source), "--output", str(more), "--only-new"]
    assert main(words) == 0
    assert "premise is changed and hypothesis stays as it is" in capsys.readouterr().err
    (made,) = [json.loads(line) for line in more.read_text("utf-8").splitlines()]
    assert made["hypothesis"] == "the cat"
    assert made["premise"] != "the cat sees"
    assert main([*words, "--overwrite", "--template", "{text}? [MASK], {text_b}"]) == 2
    assert "leave {text_b} out" in capsys.readouterr().err
