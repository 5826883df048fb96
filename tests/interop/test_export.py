"""What is written for Hugging Face is opened by it, agrees with ours, and comes back bit for bit."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import foreign_tokenizers  # noqa: E402
from foreign_models import (  # noqa: E402
    CLASSES,
    FAMILIES,
    make_model,
    odd_batch,
    odd_config,
    padded_inputs,
    save_model,
    write_vocabulary,
)

import minibert as mb  # noqa: E402
from minibert.embedding.text_encoder import TextEncoder  # noqa: E402
from minibert.errors import InputError  # noqa: E402
from minibert.model.config import EncoderConfig  # noqa: E402
from minibert.model.encoder import Encoder  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.classification import Classification  # noqa: E402
from minibert.tasks.masked_lm import MaskedLM  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402
from minibert.tasks.multi_label import MultiLabel  # noqa: E402
from minibert.tasks.regression import Regression  # noqa: E402
from minibert.tasks.tagging import Tagging  # noqa: E402
from minibert.text.loading import load_tokenizer  # noqa: E402

TEXTS = ["The list of lists.", "", "a19 and caf\u00e9, \u4e2d\u6587", "def f(x): return x" * 4]
SAME_PARTS = (
    ("xlm-roberta", "roberta"),
    ("camembert", "roberta"),
    ("electra", "bert"),
)  # one serves for both
KINDS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_in_and_out_again_every_weight_keeps_its_bits(family, seed, kind, tmp_path):
    config = odd_config(family, seed, id2label={0: "O", 1: "B-cat", 2: "I-cat"})
    theirs = make_model(config, kind, seed)
    first = write_vocabulary(save_model(theirs, tmp_path / "first"))
    if kind == "Model":
        mb.load_encoder(first).save_pretrained(tmp_path / "second")
    else:
        mb.load(first).save(tmp_path / "own")
        mb.save_pretrained(mb.load(tmp_path / "own"), tmp_path / "second")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    unused = {"head.dense.bias"} if "head.dense.bias" not in before else set()
    unused |= {"cls.predictions.bias", "lm_head.bias"} if not config.tie_word_embeddings else set()
    written = json.loads((tmp_path / "second" / "config.json").read_text("utf-8"))["model_type"]
    assert written == family or (family, written) in SAME_PARTS
    if (family, written) != ("electra", "bert"):  # of the same parts under other names
        assert before.keys() - unused == after.keys() - unused
        for name in before.keys() - unused:
            assert torch.equal(before[name], after[name]), name

    opener = getattr(transformers, "AutoModel" + kind.removeprefix("Model"))
    again = opener.from_pretrained(tmp_path / "second").eval()
    ids, segments = odd_batch(config, seed)
    inputs = padded_inputs(config, ids, segments)
    layout = Packed.of(ids).layout
    with torch.no_grad():
        given, back = theirs(**inputs), again(**inputs)
    if kind == "Model" and "pooler.dense.weight" in before:
        assert torch.equal(given.pooler_output, back.pooler_output)
    name = "last_hidden_state" if kind == "Model" else "logits"
    wanted, found = given[name], back[name]
    if kind != "ForSequenceClassification":
        wanted, found = layout.unpad(wanted), layout.unpad(found)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_the_pooler_of_a_folder_with_a_head_goes_out_with_its_encoder(tmp_path):
    config = odd_config("bert", 0, hidden_act="gelu")
    theirs = make_model(config, "ForSequenceClassification")
    first = write_vocabulary(save_model(theirs, tmp_path / "first"))
    mb.load_encoder(first).save_pretrained(tmp_path / "out")
    again = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    inputs = padded_inputs(config, *odd_batch(config))
    with torch.no_grad():
        assert torch.equal(theirs.bert(**inputs).pooler_output, again(**inputs).pooler_output)


def small(tokenizer: Any, **changes: Any) -> EncoderConfig:
    """Return a small config of ours with odd sizes."""
    shape = EncoderConfig(tokenizer.vocab_size, 42, 3, 3, 59, max_position_embeddings=61)
    return replace(shape, **changes)


def modern(tokenizer: Any) -> EncoderConfig:
    """Return a small modern config of ours."""
    shape = EncoderConfig.preset("modern-tiny", tokenizer.vocab_size)
    sizes = {"hidden_size": 36, "num_attention_heads": 3, "num_hidden_layers": 4, "intermediate_size": 41}
    return replace(shape, **sizes, local_attention=6, max_position_embeddings=61)


@pytest.fixture(scope="module", params=["wordpiece", "byte_bpe", "unigram", "ours", "ours, bpe"])
def tokenizer(request, tmp_path_factory):
    if "ours" in request.param:
        kind = "bpe" if "bpe" in request.param else "unigram"
        return mb.train_sentencepiece(foreign_tokenizers.texts(), 1200, model_type=kind)
    return load_tokenizer(foreign_tokenizers.KINDS[request.param](tmp_path_factory.mktemp("kind") / "t"))


@pytest.mark.parametrize("shape", [small, modern])
def test_our_own_text_encoder_opens_there(tokenizer, shape, tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    config = shape(tokenizer)
    for pooling in ("mean", "first"):
        ours = TextEncoder(Encoder(config), tokenizer, max_length=23, pooling=pooling)
        ours.save_pretrained(tmp_path / pooling)
        wanted = ours.embed(TEXTS)
        theirs = library.SentenceTransformer(str(tmp_path / pooling), device="cpu")
        np.testing.assert_allclose(theirs.encode(TEXTS), wanted, atol=1e-5)
        again = mb.load_encoder(tmp_path / pooling)
        assert (again.max_length, again.pooling) == (23, pooling)
        assert (again.embed(TEXTS) == wanted).all()
        model = transformers.AutoModel.from_pretrained(tmp_path / pooling).eval()
        auto = transformers.AutoTokenizer.from_pretrained(tmp_path / pooling)
        for text, hidden in zip(TEXTS, ours.hidden(TEXTS), strict=True):
            inputs = auto(text, return_tensors="pt", truncation=True, max_length=23)
            inputs = {key: inputs[key] for key in ("input_ids", "attention_mask")}
            with torch.no_grad():
                wanted_nD = model(**inputs).last_hidden_state[0].numpy()
            np.testing.assert_allclose(hidden.hidden_nD, wanted_nD, atol=1e-5)


def test_what_transformers_saves_again_opens_here_again(tokenizer, tmp_path):
    ours = TextEncoder(Encoder(small(tokenizer)), tokenizer, max_length=23)
    ours.save_pretrained(tmp_path / "out")
    for part in (transformers.AutoModel, transformers.AutoTokenizer):
        part.from_pretrained(tmp_path / "out").save_pretrained(tmp_path / "back")
    again = mb.load_encoder(tmp_path / "back")
    np.testing.assert_allclose(again.embed(TEXTS), ours.embed(TEXTS), atol=1e-6)


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory):
    return load_tokenizer(foreign_tokenizers.wordpiece(tmp_path_factory.mktemp("kind") / "wordpiece"))


@pytest.mark.parametrize("shape", [small, modern])
def test_pipelines_give_our_answers(wordpiece, shape, tmp_path):
    config = shape(wordpiece)
    masked = Model(Encoder(config), MaskedLM(wordpiece, config))
    mb.save_pretrained(masked, tmp_path / "masked")
    fill = transformers.pipeline("fill-mask", str(tmp_path / "masked"), device="cpu")
    [guesses] = masked.predict(["the [MASK] of lists"])[0]
    for theirs, (piece, probability) in zip(fill("the [MASK] of lists", top_k=3), guesses[:3], strict=True):
        assert theirs["token"] == wordpiece.tokens(range(wordpiece.vocab_size)).index(piece)
        assert abs(theirs["score"] - probability) < 1e-5

    options = {"labels": ["no", "yes", "well"]}
    options |= {"projection": "gelu", "projection_norm": True} if config.modern else {}
    texts = Model(Encoder(config), Classification.reopen(wordpiece, config, options))
    mb.save_pretrained(texts, tmp_path / "texts")
    classify = transformers.pipeline("text-classification", str(tmp_path / "texts"), device="cpu", top_k=3)
    for text, ours in zip(TEXTS, texts.predict(TEXTS), strict=True):
        [theirs] = classify([text], truncation=True)
        for answer in theirs:
            assert abs(answer["score"] - ours.probabilities[answer["label"]]) < 1e-5

    options |= {"labels": ["O", "B-x", "I-x"], "scheme": "BIO"}
    words = Model(Encoder(config), Tagging.reopen(wordpiece, config, options))
    mb.save_pretrained(words, tmp_path / "words")
    tag = transformers.pipeline(
        "token-classification", str(tmp_path / "words"), device="cpu", ignore_labels=[]
    )
    for text in ("The list of lists.", "\u4e2d\u6587 and caf\u00e9"):
        [ours] = words.predict([text])
        firsts = {answer["start"]: answer for answer in tag(text)}
        assert [firsts[start]["entity"] for start, _ in ours.spans] == list(ours.tags)
        scores = [firsts[start]["score"] for start, _ in ours.spans]
        np.testing.assert_allclose(scores, ours.probabilities, atol=1e-5)
        theirs = [one for one in tag(text, aggregation_strategy="first") if one["entity_group"] != "O"]
        places = [(one["start"], one["end"], one["entity_group"]) for one in theirs]
        assert places == [(one.start, one.end, one.label) for one in ours.entities]
        sure = [one.probability for one in ours.entities]
        np.testing.assert_allclose([one["score"] for one in theirs], sure, atol=1e-5)


@pytest.mark.parametrize("shape", [small, modern])
def test_pipelines_give_our_labels_and_numbers(wordpiece, shape, tmp_path):
    config = shape(wordpiece)
    options = {"projection": "gelu", "projection_norm": True} if config.modern else {}
    labels = {"labels": ["a", "b", "c"]}
    several = Model(Encoder(config), MultiLabel.reopen(wordpiece, config, {**options, **labels}))
    number = Model(
        Encoder(config), Regression.reopen(wordpiece, config, {**options, "centre": 70.0, "spread": 9.0})
    )
    warm = Model(Encoder(config), Classification.reopen(wordpiece, config, {**options, **labels}))
    wanted = {
        "several": [answer.probabilities for answer in several.predict(TEXTS)],
        "number": [{"LABEL_0": answer.value} for answer in number.predict(TEXTS)],
        "warm": [answer.probabilities for answer in warm.predict(TEXTS)],
    }
    for name, model in (("several", several), ("number", number), ("warm", warm)):
        mb.save_pretrained(model, tmp_path / name)
        classify = transformers.pipeline(
            "text-classification", str(tmp_path / name), device="cpu", top_k=None
        )
        again = mb.load(tmp_path / name)
        assert type(again.task) is type(model.task)
        for text, answers in zip(TEXTS, wanted[name], strict=True):
            [theirs] = classify([text], truncation=True)
            assert {answer["label"]: answer["score"] for answer in theirs} == pytest.approx(answers, abs=1e-4)
            [mine] = again.predict([text])
            found = {"LABEL_0": mine.value} if name == "number" else mine.probabilities
            assert found == pytest.approx(answers, abs=1e-4)


def test_ordered_levels_have_no_counterpart(wordpiece, tmp_path):
    config = small(wordpiece)
    task = Regression.reopen(wordpiece, config, {"regression_loss": "ordinal", "levels": [1.0, 2.0, 3.0]})
    with pytest.raises(InputError, match="bert: it has no ordered levels"):
        mb.save_pretrained(Model(Encoder(config), task), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "rmsnorm"}, "norm 'rmsnorm' is not layernorm"),
        ({"qk_norm": True}, "bert: it has no qk_norm"),
        ({"gated_mlp": True}, "gated_mlp is not False"),
        ({"global_attn_every_n_layers": 2}, "it has no windows"),
        ({"bias": False}, "it has biases everywhere"),
    ],
)
def test_parts_that_no_family_has_are_refused(wordpiece, tmp_path, changes, message):
    encoder = Encoder(small(wordpiece, **changes))
    with pytest.raises(InputError, match=message):
        TextEncoder(encoder, wordpiece, max_length=9).save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "shape", "options", "told"),
    [
        (Classification, small, {"pooling": "mean"},
         "bert: its head has pooling first, projection tanh and this one pooling mean, projection none; "
         "fine-tune with --pooling first --projection tanh"),
        (Classification, modern, {"pooling": "first"},
         "modernbert: its head has projection_norm true and this one projection_norm false; "
         "fine-tune with --projection-norm"),
        (Classification, modern, {"pooling": "mean"}, "fine-tune with --projection gelu --projection-norm"),
        (Tagging, modern, {"scheme": None}, "fine-tune with --projection gelu --projection-norm"),
        (Tagging, small, {"scheme": None, "projection": "relu", "projection_norm": True},
         "fine-tune with --projection none --no-projection-norm"),
    ],
)  # fmt: skip
def test_a_head_that_no_family_has_is_refused_and_one_with_the_flags_that_are_told_goes_out(
    wordpiece, tmp_path, kind, shape, options, told
):
    config = shape(wordpiece)
    options = {"labels": ["a", "b"], **options}
    with pytest.raises(InputError) as error:
        mb.save_pretrained(Model(Encoder(config), kind.reopen(wordpiece, config, options)), tmp_path / "out")
    assert told in str(error.value)
    words = str(error.value).partition("fine-tune with ")[2].partition(";")[0].rstrip(")").split()
    for flag, value in zip(words, [*words[1:], "--"], strict=True):
        if flag.endswith("projection-norm"):
            options["projection_norm"] = flag == "--projection-norm"
        elif flag.startswith("--"):
            options[flag.removeprefix("--")] = value
    mb.save_pretrained(Model(Encoder(config), kind.reopen(wordpiece, config, options)), tmp_path / "out")


def test_every_family_of_the_tests_has_a_class():
    assert set(CLASSES) == set(FAMILIES)
