"""Prompts stand before a text as sentence-transformers puts them there."""

import json

import numpy as np
import pytest
import tiny_runs

import minibert as mb
from minibert.embedding.index import build_index
from minibert.errors import InputError
from minibert.interop.prompts import FILE, Prompts, read_prompts
from minibert.interop.sentence_transformers import read_habits

TEXTS = [tiny_runs.sentence(number) for number in range(5)]
PROMPTS = {"query": "the cat: ", "passage": "a dog, ", "nothing": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of sentence-transformers with prompts, one of which is used unasked."""
    plain = mb.load_encoder(tiny_runs.make_encoder(tmp_path_factory.mktemp("prompts") / "enc"))
    plain.prompts = Prompts(PROMPTS, "query")
    out = tmp_path_factory.mktemp("prompts") / "out"
    plain.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def encoder(folder):
    return mb.load_encoder(folder)


def test_a_prompt_is_the_text_with_words_before_it(encoder):
    bare = encoder.embed(TEXTS, prompt="")
    assert (encoder.embed(TEXTS) == encoder.embed(["the cat: " + text for text in TEXTS], prompt="")).all()
    assert (encoder.embed(TEXTS) == encoder.embed(TEXTS, prompt_name="query")).all()
    assert (encoder.embed(TEXTS, prompt="a dog, ") == encoder.embed(TEXTS, prompt_name="passage")).all()
    assert (encoder.embed(iter(TEXTS), prompt_name="nothing") == bare).all()
    assert abs(encoder.embed(TEXTS) - bare).max() > 1e-3


def test_prompts_survive_save_and_load(encoder, folder):
    assert encoder.prompts == Prompts(PROMPTS, "query") == read_habits(folder, 99).prompts


def test_vectors_are_those_of_sentence_transformers(encoder, folder):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    for told in ({}, {"prompt_name": "passage"}, {"prompt": "so: "}, {"prompt_name": "nothing"}):
        np.testing.assert_allclose(encoder.embed(TEXTS, **told), theirs.encode(TEXTS, **told), atol=1e-5)


def test_an_index_puts_the_documents_prompt_before_them(encoder, tmp_path):
    rows = np.array(build_index(encoder, TEXTS, tmp_path / "a", dtype="float32").rows_ND)
    np.testing.assert_allclose(rows, encoder.embed(TEXTS, prompt_name="passage"), atol=1e-6)
    rows = np.array(build_index(encoder, TEXTS, tmp_path / "b", dtype="float32", prompt="x ").rows_ND)
    np.testing.assert_allclose(rows, encoder.embed(TEXTS, prompt="x "), atol=1e-6)


def test_prompts_that_cannot_be_used_are_refused(encoder, tmp_path):
    with pytest.raises(InputError, match="prompt_name 'title' is unknown; the checkpoint has query, passage"):
        encoder.embed(TEXTS, prompt_name="title")
    with pytest.raises(InputError, match="give one of them"):
        encoder.embed(TEXTS, prompt="a", prompt_name="query")
    with pytest.raises(InputError, match="text 1 is 3, a int"):
        encoder.embed(["a", 3])
    for values, message in (
        ({"prompts": {"query": 3}}, "a text for each name"),
        ({"prompts": ["query: "]}, "a text for each name"),
        ({"prompts": {"a": "b"}, "default_prompt_name": "c"}, "'c' is none of a"),
    ):
        (tmp_path / FILE).write_text(json.dumps(values))
        with pytest.raises(InputError, match=message):
            read_prompts(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"prompts": {"query": "q: "}}))
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.Pooling", "path": "p"}]))
    (tmp_path / "p").mkdir()
    told = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    (tmp_path / "p" / "config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="include_prompt false is not implemented"):
        read_habits(tmp_path, 99)
