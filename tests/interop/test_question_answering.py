"""Heads that find answers agree with those of `transformers`, come in and go out with their bits."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

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
from minibert.data.examples import QuestionExample  # noqa: E402
from minibert.errors import InputError  # noqa: E402
from minibert.interop.heads import head_names  # noqa: E402
from minibert.interop.tensors import stored_tensors  # noqa: E402
from minibert.model.config import EncoderConfig  # noqa: E402
from minibert.model.encoder import Encoder  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.answer_spans import SpanTargets  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402
from minibert.tasks.question_answering import QuestionAnswering  # noqa: E402
from minibert.text.loading import load_tokenizer  # noqa: E402

KIND = "ForQuestionAnswering"
SAME_PARTS = (
    ("xlm-roberta", "roberta"),
    ("camembert", "roberta"),
    ("electra", "bert"),
)  # one serves for both


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_loss_and_the_gradient_of_the_head_agree(family, seed, tmp_path):
    config = odd_config(family, seed, attn_implementation="sdpa")
    theirs = make_model(config, KIND, seed)
    folder = write_vocabulary(save_model(theirs, tmp_path))
    ours = mb.load(folder)
    ids, segments = odd_batch(config, seed)
    batch = Packed.of(ids, segments)
    wanted = theirs(**padded_inputs(config, ids, segments))
    rows_T = torch.arange(len(batch.ids))
    logits_T2 = ours.task.logits(ours.encoder, batch, rows_T)
    for column, theirs_NS in enumerate((wanted.start_logits, wanted.end_logits)):
        torch.testing.assert_close(logits_T2[:, column], batch.layout.unpad(theirs_NS), atol=2e-5, rtol=1e-5)

    gold = [(5 * n % len(row), 7 * n % len(row)) for n, row in enumerate(ids)]
    shares_T2 = torch.zeros(len(rows_T), 2)
    for first, pair in zip(batch.layout.starts.tolist(), gold, strict=True):
        for column, place in enumerate(pair):
            shares_T2[first + place, column] = 1
    loss = ours(batch, SpanTargets(rows_T, shares_T2, batch.layout.lengths, (True,) * len(ids))).mean()
    outside_NS = batch.layout.pad(torch.zeros(len(rows_T)), 1.0).bool()
    loss_of_theirs = sum(
        cross_entropy(scores_NS.masked_fill(outside_NS, -torch.inf), torch.tensor(places)) / 2
        for scores_NS, places in zip(
            (wanted.start_logits, wanted.end_logits), zip(*gold, strict=True), strict=True
        )
    )
    torch.testing.assert_close(loss, loss_of_theirs, atol=1e-5, rtol=1e-5)
    loss.backward()
    loss_of_theirs.backward()
    parameters = dict(theirs.named_parameters())
    for name, (other,) in head_names(ours.task.name, family, ours.task, stored_tensors(folder)).items():
        if other in parameters:  # no bias is a bias of zero
            found, grad = ours.task.get_parameter(name).grad, parameters[other].grad
            torch.testing.assert_close(found, grad, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_and_out_again_every_weight_keeps_its_bits(family, tmp_path):
    config = odd_config(family, 1)
    theirs = make_model(config, KIND, 1)
    first = write_vocabulary(save_model(theirs, tmp_path / "first"))
    mb.load(first).save(tmp_path / "own")
    mb.save_pretrained(mb.load(tmp_path / "own"), tmp_path / "second")
    written = json.loads((tmp_path / "second" / "config.json").read_text("utf-8"))
    assert written["architectures"][0].endswith(KIND)
    assert written["model_type"] == family or (family, written["model_type"]) in SAME_PARTS
    if (family, written["model_type"]) != ("electra", "bert"):  # of the same parts under other names
        before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
        unused = {"head.dense.bias"} if "head.dense.bias" not in before else set()
        assert before.keys() - unused == after.keys() - unused
        assert all(torch.equal(before[name], after[name]) for name in before.keys() - unused)
    again = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "second").eval()
    ids, segments = odd_batch(config, 1)
    inputs, layout = padded_inputs(config, ids, segments), Packed.of(ids).layout
    with torch.no_grad():
        wanted, found = theirs(**inputs), again(**inputs)
    for name in ("start_logits", "end_logits"):
        torch.testing.assert_close(layout.unpad(found[name]), layout.unpad(wanted[name]), atol=1e-6, rtol=0)


QUESTIONS = [
    QuestionExample("What is a list?", "A list is a sequence. A set is not."),
    QuestionExample("Which\tone?", "def f(x):\r\n\treturn x, \U0001f600 and the list"),
]


@pytest.mark.parametrize("modern", [False, True])
def test_answers_are_the_best_spans_of_their_scores(tmp_path, modern):
    tokenizer = load_tokenizer(foreign_tokenizers.wordpiece(tmp_path / "wordpiece"))
    preset = EncoderConfig.preset("modern-tiny" if modern else "tiny", tokenizer.vocab_size)
    options = {"refuses": False, "max_answer_length": 7}
    options |= {"projection": "gelu", "projection_norm": True} if modern else {}
    model = Model(Encoder(preset), QuestionAnswering.reopen(tokenizer, preset, options)).eval()
    with torch.no_grad():
        model.task.classifier.weight.normal_()
    mb.save_pretrained(model, tmp_path / "out")
    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out").eval()
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for example, answer in zip(QUESTIONS, model.predict(QUESTIONS), strict=True):
        encoded = auto(example.question, example.passage, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0].tolist()
        rows = [row for row, owner in enumerate(encoded.sequence_ids(0)) if owner == 1]
        inputs = {key: encoded[key] for key in encoded if key != "token_type_ids" or not modern}
        with torch.no_grad():
            found = theirs(**inputs)
        start, end = found.start_logits[0], found.end_logits[0]
        pairs = [(a, b) for a in rows for b in rows if a <= b < a + 7]
        a, b = max(pairs, key=lambda pair: float(start[pair[0]] + end[pair[1]]))
        assert (answer.start, answer.end) == (offsets[a][0], offsets[b][1])
        assert answer.text == example.passage[answer.start : answer.end]
        assert answer.candidates[0].score == pytest.approx(float(start[a] + end[b]), abs=1e-4)
        assert answer.margin == pytest.approx(float(start[0] + end[0] - start[a] - end[b]), abs=1e-4)


def test_windows_are_those_of_their_scripts(tmp_path):
    config = odd_config("bert", 0, max_position_embeddings=512)
    folder = write_vocabulary(save_model(make_model(config, KIND), tmp_path))
    assert mb.load(folder).task.max_length == 384
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}), "utf-8")
    assert mb.load(folder).task.max_length == 128


def test_a_head_of_another_number_of_scores_is_refused(tmp_path):
    config = odd_config("bert", 0, num_labels=3)
    with pytest.raises(InputError, match=r"qa_outputs\.weight has shape"):
        mb.load(write_vocabulary(save_model(make_model(config, KIND), tmp_path)))


@pytest.mark.parametrize("segments", [0, 2])
def test_their_tokenizer_numbers_the_texts_of_a_pair_where_the_encoder_asks_for_it(tmp_path, segments):
    tokenizer = load_tokenizer(foreign_tokenizers.wordpiece(tmp_path / "wordpiece"))
    preset = EncoderConfig.preset("modern-tiny" if segments == 0 else "tiny", tokenizer.vocab_size)
    assert preset.type_vocab_size == segments
    mb.TextEncoder(Encoder(preset), tokenizer, max_length=23).save_pretrained(tmp_path / "out")
    encoded = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")("a list", "a set")
    assert ("token_type_ids" in encoded) == (segments > 0)
    if segments:
        window = tokenizer.build(tokenizer.encode("a list"), tokenizer.encode("a set"))
        assert encoded["token_type_ids"] == window.segments.tolist()
