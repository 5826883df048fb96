"""What a folder says of its head, and what its files say otherwise: tables, labels, schemes of tags, gaps."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import foreign_tokenizers  # noqa: E402
from foreign_models import (  # noqa: E402
    FAMILIES,
    make_model,
    odd_batch,
    odd_config,
    padded_inputs,
    save_model,
    write_vocabulary,
)

import minibert as mb  # noqa: E402
from minibert.errors import InputError  # noqa: E402
from minibert.interop.heads import MASKED_LM  # noqa: E402
from minibert.interop.language_models import open_for_pretraining  # noqa: E402
from minibert.interop.names import DICTIONARIES  # noqa: E402
from minibert.interop.problems import label_names, spelling_of  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402


def configure(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **changes}), "utf-8")


def logits_of(model: Model, batch: Packed) -> torch.Tensor:
    with torch.no_grad():
        return model.task.head(model.encoder(batch)) @ model.task.table(model.encoder).T + model.task.bias


def two_tables(family: str, folder: Path, *, apart: float) -> Path:
    """Save a model whose config says one table for encoder and head, and whose file has two of them."""
    config = odd_config(family, 2, tie_word_embeddings=True)
    write_vocabulary(save_model(make_model(config, "ForMaskedLM", 2), folder))
    weights = load_file(folder / "model.safetensors")
    token = weights[
        f"{DICTIONARIES[family].prefix}{DICTIONARIES[family].modules['embeddings.token'][0]}.weight"
    ]
    other = torch.randn(token.shape, generator=torch.Generator().manual_seed(3))
    weights[f"{MASKED_LM[family]['own_table']}.weight"] = token + apart * other
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_of_its_own_is_used_where_the_config_says_one_for_both(family, tmp_path):
    folder = two_tables(family, tmp_path / "first", apart=1.0)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids, segments = odd_batch(theirs.config, 2)
    batch = Packed.of(ids, segments)
    with torch.no_grad():
        wanted = batch.layout.unpad(theirs(**padded_inputs(theirs.config, ids, segments)).logits)
    ours = mb.load(folder)
    assert not ours.encoder.config.tie_word_embeddings
    found, scale = logits_of(ours, batch), wanted.abs().max().item()
    torch.testing.assert_close(found, wanted, atol=1e-5 * scale, rtol=0)

    ours.save(tmp_path / "own")
    mb.save_pretrained(ours, tmp_path / "second")
    for again in (tmp_path / "own", tmp_path / "second"):
        assert torch.equal(logits_of(mb.load(again), batch), logits_of(ours, batch))


def test_two_equal_tables_are_one(tmp_path):
    model = mb.load(two_tables("bert", tmp_path, apart=0.0))
    assert model.task.own_table is None and model.encoder.config.tie_word_embeddings


def test_pretraining_goes_on_with_a_table_that_the_config_hides(tmp_path):
    folder = two_tables("bert", tmp_path / "first", apart=1.0)
    encoder, _, head = open_for_pretraining(folder, {"hidden_dropout_prob": 0.0})
    assert not encoder.config.tie_word_embeddings and encoder.config.hidden_dropout_prob == 0
    assert head is not None and torch.equal(head.own_table.weight, mb.load(folder).task.own_table.weight)


def test_a_cloze_on_a_table_that_the_config_hides_is_refused_until_the_folder_is_written_anew(tmp_path):
    folder = two_tables("bert", tmp_path / "first", apart=1.0)
    given: dict[str, Any] = {
        "task": "cloze",
        "train": [mb.TextExample("w9 w8", None, "w5"), mb.TextExample("w7", None, "w6")] * 2,
        "settings": {"task.template": "{text} w7 [MASK]", "train.max_steps": 1, "train.precision": "fp32"},
    }
    with pytest.raises(InputError, match=r"mb.load\(FOLDER\).save\(DIR\)"):
        mb.finetune(folder, output_dir=tmp_path / "out", **given)
    mb.load(folder).save(tmp_path / "anew")
    model = mb.finetune(tmp_path / "anew", output_dir=tmp_path / "out", **given)
    assert model.predict(["w9"]) == mb.load(tmp_path / "out").predict(["w9"])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"0": "neutral", "1": "neutral", "2": "bad"}, "config.json: id2label calls 2 labels 'neutral'"),
        ({"0": 1, "1": "1"}, "id2label calls 2 labels '1'"),
        ({"a": "0", "b": "1"}, "config.json: id2label is {'a': '0', 'b': '1'}; a table from numbers"),
        (["no", "yes"], r"id2label is \['no', 'yes'\]; a table from numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["ForSequenceClassification", "ForTokenClassification"])
def test_labels_without_a_number_or_a_name_of_their_own_are_refused(kind, told, message, tmp_path):
    theirs = make_model(odd_config("bert", 0, hidden_act="gelu", num_labels=len(told)), kind)
    configure(write_vocabulary(save_model(theirs, tmp_path)), id2label=told)
    with pytest.raises(InputError, match=message):
        mb.load(tmp_path)


def test_a_number_of_labels_that_is_none_is_refused():
    with pytest.raises(InputError, match="num_labels is 'two'"):
        label_names({"num_labels": "two"})


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-a", "I-a", "E-a", "S-a"], "BIOES"),
        (["O", "B-a", "I-a", "S-a"], "BIOES"),
        (["O", "B-a", "I-a", "L-a", "U-a"], "BIOES"),
        (["O", "B-a", "M-a", "E-a", "S-a"], "BMES"),
        (["B", "M", "E", "S"], "BMES"),
        (["[PAD]", "[CLS]", "[SEP]", "X", "O", "B-a", "I-a"], "BIO"),
        (["<pad>", "O", "B-a", "E-a", "ignore"], "BIOES"),
        (["NOUN", "VERB", "X"], None),
        (["NP", "S-Bar", "VP"], None),
        (["LABEL_0", "LABEL_1"], None),
    ],
)
def test_the_scheme_is_read_off_the_labels(labels, scheme):
    assert spelling_of(labels) == scheme


TAGS = "B-PER I-PER E-PER O S-PER S-LOC [PAD] B-PER E-PER O S-PER".split()
ENTITIES = [("w5 w6 w7", "PER"), ("w9", "PER"), ("w10", "LOC"), ("w12 w13", "PER"), ("w15", "PER")]
TEXT = " ".join(f"w{number}" for number in range(5, 5 + len(TAGS)))


def save_tagger(folder: Path, tags: list[str]) -> None:
    """Save a tagger of `transformers` whose classifier is solved for these tags of TEXT."""
    labels = sorted(set(tags))
    sizes = {"hidden_size": 18, "hidden_act": "gelu"}
    config = odd_config("bert", 0, id2label=dict(enumerate(labels)), **sizes)
    theirs = make_model(config, "ForTokenClassification")
    with torch.no_grad():
        ids = torch.tensor([[2, *range(5, 5 + len(tags)), 3]])
        hidden_nD = theirs.bert(input_ids=ids).last_hidden_state[0, 1:-1]
        wanted_nC = 9 * torch.nn.functional.one_hot(torch.tensor([labels.index(tag) for tag in tags]))
        theirs.classifier.weight.copy_(torch.linalg.lstsq(hidden_nD, wanted_nC.float()).solution.T)
        theirs.classifier.bias.zero_()
    write_vocabulary(save_model(theirs, folder))


@pytest.mark.parametrize("letters", ["BIES", "BILU", "BMES", "BMEW"])
def test_entities_are_read_in_the_scheme_of_the_folders_labels(letters, tmp_path):
    spelled = dict(zip("BIES", letters, strict=True))
    tags = [spelled.get(tag[0], tag[0]) + tag[1:] for tag in TAGS]
    save_tagger(tmp_path / "first", tags)
    model = mb.load(tmp_path / "first")
    model.save(tmp_path / "own")
    mb.save_pretrained(model, tmp_path / "second")
    for folder in ("first", "own", "second"):
        [answer] = mb.load(tmp_path / folder).predict([TEXT])
        assert list(answer.tags) == tags
        assert [(one.text, one.label) for one in answer.entities] == ENTITIES
        sure = answer.entities[0].probability
        assert sure == pytest.approx(sum(answer.probabilities[:3]) / 3)
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "first")
    pipe = transformers.pipeline(
        "token-classification", str(tmp_path / "first"), tokenizer=auto, device="cpu", ignore_labels=[]
    )
    assert [one["entity"] for one in pipe(TEXT)] == tags
    single = [(one["word"], one["entity_group"]) for one in pipe(TEXT, aggregation_strategy="simple")]
    assert set(ENTITIES[1:3]) <= set(single)


def test_spans_are_scored_in_the_scheme_of_the_folders_labels(tmp_path):
    save_tagger(tmp_path, TAGS)
    model, words = mb.load(tmp_path), mb.load(tmp_path).predict([TEXT])[0].spans
    right = tuple("O" if tag == "[PAD]" else tag for tag in TAGS)
    scores = model.evaluate([mb.TaggedExample(TEXT, words, right)])
    assert (scores["f1"], scores["per_type"]["PER"]["support"]) == (1.0, 4)
    other = ("O", "B-PER", "E-PER", *right[3:])  # one of five spans begins elsewhere
    scores = model.evaluate([mb.TaggedExample(TEXT, words, other)])
    assert (scores["f1"], scores["precision"], scores["recall"]) == pytest.approx((0.8, 0.8, 0.8))
    with pytest.raises(InputError, match="tag 'B-ORG' was never seen"):
        model.evaluate([mb.TaggedExample(TEXT, words, ("B-ORG", *right[1:]))])


def test_labels_that_are_no_tags_do_not_hide_the_entities_of_the_others(tmp_path):
    tags = "[CLS] B-PER I-PER O B-LOC X [SEP] B-PER B-PER I-LOC [PAD]".split()
    save_tagger(tmp_path, tags)
    [answer] = mb.load(tmp_path).predict([TEXT])
    assert list(answer.tags) == tags
    found = [(one.text, one.label) for one in answer.entities]
    assert found == [("w6 w7", "PER"), ("w9", "LOC"), ("w12", "PER"), ("w13", "PER"), ("w14", "LOC")]


@pytest.mark.parametrize(("kind", "family"), [("byte_bpe", "roberta"), ("wordpiece", "bert")])
def test_a_gap_may_be_called_what_the_tokenizer_calls_it(kind, family, tmp_path):
    foreign_tokenizers.KINDS[kind](tmp_path)
    size = transformers.AutoTokenizer.from_pretrained(tmp_path).vocab_size
    sizes = {"vocab_size": size, "max_position_embeddings": 60, "tie_word_embeddings": True}
    save_model(make_model(odd_config(family, 0, **sizes), "ForMaskedLM"), tmp_path)
    fill = transformers.pipeline("fill-mask", str(tmp_path), device="cpu")
    mask = fill.tokenizer.mask_token
    texts = [f"the {mask} of lists", "the [MASK] of lists", "the list of lists"]
    model = mb.load(tmp_path)
    named, ours, none = (model.predict([text])[0] for text in texts)
    assert named == ours and len(ours) == 1 and none == []
    for theirs, (piece, probability) in zip(fill(texts[0], top_k=3), named[0], strict=False):
        assert fill.tokenizer.convert_ids_to_tokens(theirs["token"]) == piece
        assert abs(theirs["score"] - probability) < 1e-5
