"""What a pretraining run begins with."""

import importlib
import math
import re

import numpy as np
import pytest
import tiny_runs
import torch

from minibert.checkup.pretraining import check_pretraining
from minibert.data.batches import CorpusBatches
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError, MissingExtra
from minibert.pretrain import pretrain, start_table
from minibert.tasks.model import Model
from minibert.text.loading import load_tokenizer
from minibert.training.finetuning import FinetuneOptions
from minibert.training.log import read_log
from minibert.training.pretraining import Settings

MODULE = importlib.import_module("minibert.pretrain")  # the attribute of that name is the function
SETTINGS = {
    "data.token_vectors": "cooccurrence",
    "data.tokens_per_batch": 256,
    "data.progress": False,
    "tokenizer.vocab_size": tiny_runs.VOCABULARY,
    "train.precision": "fp32",
    "train.logging_steps": 1,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_runs.write_corpus(tmp_path_factory.mktemp("text") / "corpus.txt", documents=300)


def test_a_table_of_counted_vectors_has_the_length_of_noise(corpus, tmp_path, monkeypatch):
    tables, met = [], []

    def spy(model: Model, train: CorpusBatches) -> float:
        met.append(np.unique(np.concatenate([train.corpus[i] for i in train.documents])))
        tables.append(model.encoder.embeddings.token.weight.detach().clone())
        seconds = start_table(model, train)
        tables.append(model.encoder.embeddings.token.weight.detach().clone())
        return seconds

    monkeypatch.setattr(MODULE, "start_table", spy)
    pretrain([corpus], tmp_path / "enc", size="tiny", settings={**SETTINGS, "train.max_steps": 3})
    noise, table = tables
    found = torch.zeros(tiny_runs.VOCABULARY, dtype=torch.bool)
    found[torch.from_numpy(met[0].astype(np.int64))] = True
    assert 0 < found.sum() < tiny_runs.VOCABULARY
    assert torch.equal(noise[~found], table[~found])
    lengths = table[found].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.02 * math.sqrt(table.shape[1])))
    torch.testing.assert_close(table[found].norm(), noise[found].norm(), rtol=0.1, atol=0)
    first = read_log(tmp_path / "enc", "train")[0]["loss"]
    assert first == pytest.approx(math.log(tiny_runs.VOCABULARY), rel=0.02)


def test_a_resumed_run_keeps_its_table(corpus, tmp_path, monkeypatch):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings = {**SETTINGS, "train.max_steps": 6, "train.save_steps": 2}
    expected = pretrain([corpus], whole, size="tiny", settings=settings)
    pretrain([corpus], halves, size="tiny", settings=settings)
    monkeypatch.setattr(MODULE, "start_table", lambda model, train: 1 / 0)
    resumed = pretrain([corpus], halves, size="tiny", settings=settings, resume=True)
    for mine, theirs in zip(resumed.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_run_goes_on_with_the_size_that_it_began_with(corpus, tmp_path):
    settings = {**SETTINGS, "train.max_steps": 4, "train.save_steps": 2}
    pretrain([corpus], tmp_path, size="tiny", settings=settings)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"another shape: .*num_hidden_layers was 2 and is 4"):
        pretrain([corpus], tmp_path, size="mini", settings={**settings, "train.max_steps": 9}, resume=True)
    pretrain([corpus], tmp_path, size="tiny", settings=settings, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["max_seq_length", "tokens_per_batch", "validation_tokens", "workers"])
def test_sizes_that_hold_nothing_are_refused(name):
    with pytest.raises(InputError, match=f"{name} -5 must be at least"):
        Settings.of({f"data.{name}": -5})


def test_one_path_is_a_corpus(corpus, tmp_path):
    settings = {**SETTINGS, "train.max_steps": 1, "data.token_vectors": "random"}
    for number, one in enumerate((str(corpus), corpus)):
        made = pretrain(one, tmp_path / str(number), size="tiny", settings=settings)
        assert made.task.name == "masked_lm"
        assert pretrain(one, tmp_path / str(number), size="tiny", settings=settings, resume=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_comes_back_fills_masks_and_embeds_as_its_folder_does(corpus, tmp_path, precision):
    settings = {**SETTINGS, "train.max_steps": 1, "train.precision": precision}
    made = pretrain([corpus], tmp_path, size="tiny", settings=settings)
    opened, texts = load_encoder(tmp_path), ["The cat sees the dog.", "", "a road " * 200]
    for pooling in ("mean", "first"):
        assert (made.embed(texts, pooling) == opened.embed(texts, pooling)).all()
    for mine, theirs in zip(made.hidden(texts), opened.hidden(texts), strict=True):
        assert mine.tokens == theirs.tokens
        assert (mine.spans == theirs.spans).all()
        assert (mine.hidden_nD == theirs.hidden_nD).all()
    assert len(made.predict(["The [MASK] sees."])[0][0]) == made.task.top_k
    again = pretrain([corpus], tmp_path, size="tiny", settings=settings, resume=True)
    assert (again.embed(texts) == opened.embed(texts)).all()


@pytest.mark.parametrize("bad", [None, 7, [None], {"a.txt": 1}])
def test_what_is_no_path_is_no_corpus(bad, tmp_path):
    with pytest.raises(InputError, match=rf"a list of paths, and this is {re.escape(repr(bad))}"):
        pretrain(bad, tmp_path / "enc", size="tiny", settings=SETTINGS)
    assert not (tmp_path / "enc").exists()


def test_a_tokenizer_is_named_by_its_folder(corpus, tmp_path):
    tokenizer = load_tokenizer(tiny_runs.make_encoder(tmp_path / "tok"))
    settings = {"data.progress": False}
    with pytest.raises(InputError, match=r"tokenizer is a SentencePieceTokenizer, and the folder .* save"):
        pretrain([corpus], tmp_path / "enc", tokenizer=tokenizer, settings=settings)


@pytest.mark.parametrize("owner", ["tokenizer", "model"])
def test_a_vocabulary_is_not_asked_for_beside_one(corpus, tmp_path, owner):
    given = {owner: tiny_runs.make_encoder(tmp_path / "old"), "settings": {"tokenizer.lowercase": True}}
    told = f"lowercase 'True' beside a {owner}"
    with pytest.raises(InputError, match=told):
        pretrain([corpus], tmp_path / "enc", **given)
    (found,) = check_pretraining([corpus], quick=True, **given).findings
    assert told in found.seen


def test_the_shape_of_a_model_is_not_changed(corpus, tmp_path):
    folder = tiny_runs.make_encoder(tmp_path / "old")
    settings = {"data.progress": False, "model.num_hidden_layers": 4, "train.max_steps": 1}
    told = r"model\.num_hidden_layers 4 cannot be changed beside a model, .* num_hidden_layers 1;"
    with pytest.raises(InputError, match=told):
        pretrain([corpus], tmp_path / "enc", model=folder, settings=settings)
    (found,) = check_pretraining([corpus], model=folder, settings=settings, quick=True).findings
    assert re.search(told, found.seen)


def test_lines_that_no_blank_line_parts_are_told(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{tiny_runs.sentence(number)}\n" for number in range(400)), encoding="utf-8")
    with pytest.raises(InputError, match=r"1 document, .* 400 lines of text: blank lines part .* \.jsonl"):
        pretrain([path], tmp_path / "enc", size="tiny", settings=SETTINGS)


def test_a_batch_holds_the_longest_run():
    with pytest.raises(InputError, match="tokens_per_batch 10 is less than max_seq_length 128"):
        Settings.of({"data.tokens_per_batch": 10})


def test_a_tracker_is_looked_for_before_any_work(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "first_model", lambda *args, **given: 1 / 0)
    for name in ("paper", "wandb"):
        monkeypatch.setattr("minibert.training.journal.find_spec", lambda name: None)
        with pytest.raises((InputError, MissingExtra), match=name):
            pretrain([corpus], tmp_path / "enc", settings={"data.report_to": name})
        with pytest.raises((InputError, MissingExtra), match=name):
            FinetuneOptions(report_to=name)
    assert not (tmp_path / "enc").exists()


def test_a_run_goes_on_with_its_tokenizer_and_tells_where_nothing_is_left(corpus, tmp_path, capsys):
    folders = [tiny_runs.make_encoder(tmp_path / str(size), size) for size in (tiny_runs.VOCABULARY, 300)]
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("tokenizer.")}
    settings |= {"train.max_steps": 4, "train.save_steps": 2, "data.token_vectors": "random"}
    given = {"size": "tiny", "settings": settings}
    pretrain([corpus], tmp_path / "enc", tokenizer=folders[0], **given)
    tokens = (tmp_path / "enc" / "corpus" / "corpus.json").read_bytes()
    with pytest.raises(InputError, match=r"the tokenizer in .*300 is not the one .*checkpoint-2 holds"):
        pretrain([corpus], tmp_path / "enc", tokenizer=folders[1], resume=True, **given)
    with pytest.raises(InputError, match="name it: --tokenizer"):
        pretrain([corpus], tmp_path / "enc", resume=True, **given)
    assert (tmp_path / "enc" / "corpus" / "corpus.json").read_bytes() == tokens
    capsys.readouterr()
    settings["train.max_steps"] = 1
    pretrain([corpus], tmp_path / "enc", tokenizer=folders[0], resume=True, **given)
    assert "2 steps are done and 1 were asked for: nothing is left to train" in capsys.readouterr().err
