"""Sequence to sequence: learns by heart, writes it, reopens, starts from a size; and what it refuses."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from check_task import (
    LONGEST,
    check_its_loss,
    check_its_parts,
    check_reopening,
    check_resuming,
    shape,
    windows_of,
)

import minibert as mb
from minibert.data.batches import ExampleBatches
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.model.encoder import Encoder
from minibert.model.generation import Written
from minibert.tasks.model import Model
from minibert.tasks.seq2seq import Generated, Seq2Seq
from minibert.tasks.seq2seq_options import Seq2SeqOptions
from minibert.tasks.task import Loss
from minibert.tasks.teacher_forcing import PairWindow
from minibert.tasks.windows import long_ones, tell_long
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

WORDS = "zero one two three four five six seven eight nine".split()
PAIRS = [
    mb.ParallelExample("one two", "1 2"),
    mb.ParallelExample("three", "3"),
    mb.ParallelExample("four five six seven", "4 5 6 7"),
    mb.ParallelExample("eight nine zero", "8 9 0"),
    mb.ParallelExample("two one", "2 1"),
]


def numbers(count: int, seed: int) -> list[mb.ParallelExample]:
    """Return number words and the digits they stand for."""
    draw = random.Random(seed)
    rows = [[draw.randrange(10) for _ in range(draw.randint(1, 6))] for _ in range(count)]
    return [mb.ParallelExample(" ".join(WORDS[d] for d in row), " ".join(map(str, row))) for row in rows]


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceTokenizer:
    return train_sentencepiece(
        [text for pair in numbers(200, 0) for text in (pair.source, str(pair.target))], 290
    )


def build(tokenizer, recipe: str = "bert", *, seed: int = 0, **options) -> Model:
    torch.manual_seed(seed)
    config = shape(recipe, tokenizer.vocab_size)
    return Model(Encoder(config), Seq2Seq.build(tokenizer, config, PAIRS, options))


def learn(model: Model) -> None:
    """Train on the pairs until they are known by heart: a decoder needs more steps than a linear layer."""
    windows = windows_of(model, PAIRS)
    batches = ExampleBatches(windows, model.task.collate, len(windows))
    config = TrainingConfig(precision="fp32", max_steps=220, learning_rate=5e-3, weight_decay=0.0)
    losses = [step.loss for step in Run(model, batches, config)]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    "recipe, options",
    [
        ("bert", {"decoder_positions": "learned", "max_target_length": 19, "label_smoothing": 0.0}),
        (
            "modernbert",
            {"share_embeddings": False, "decoder_layers": 1, "num_beams": 3, "label_smoothing": 0.0},
        ),
        ("modernbert", {"copy_attention": True, "num_beams": 2, "label_smoothing": 0.0}),
    ],
)
def test_it_keeps_the_promises_of_a_task(tokenizer, tmp_path, recipe, options):
    model = build(tokenizer, recipe, **options)
    check_its_parts(model, PAIRS)
    learn(model)
    check_its_loss(model, PAIRS)
    answers = model.predict(PAIRS)
    assert [answer.target for answer in answers] == [pair.target for pair in PAIRS]
    scores = model.evaluate(PAIRS)
    assert next(iter(scores)) == "chrf"
    assert scores["chrf"] == scores["exact_match"] == scores["rougeL"] == 1.0
    check_reopening(model, PAIRS, answers, folder=tmp_path / "seq2seq")
    check_packing(model, answers)
    model.encoder.dtype = torch.bfloat16
    assert [answer.target for answer in model.predict(PAIRS)] == [pair.target for pair in PAIRS]


def check_packing(model: Model, answers: list[Generated]) -> None:
    """A source alone and among others, in whatever order, has the same target."""
    for examples, wanted in ((PAIRS, answers), (PAIRS[::-1], answers[::-1])):
        for batch_tokens in (1, 13, 10_000):
            again = model.predict(examples, batch_tokens=batch_tokens)
            assert [one.target for one in again] == [one.target for one in wanted]
            assert [one.score for one in again] == pytest.approx([one.score for one in wanted], abs=1e-5)


@pytest.mark.parametrize("copy", [False, True])
def test_the_score_that_is_told_is_the_loss_of_what_was_written(tokenizer, copy):
    model = build(tokenizer, length_penalty=0.0, copy_attention=copy)
    model.task.bias.data[model.task.never_V] = -1e4  # what is never written takes no share of the softmax
    model.eval()
    for source in ("one two three", "nine"):
        batch, windows = one_source(model, source)
        with torch.no_grad():
            (written,) = model.task.predict(model.encoder, batch, windows)
        target = np.array([*written.ids, tokenizer.sep_id])
        window = PairWindow(windows[0].tokens, target)
        loss = model.evaluate_loss([model.task.collate([window], 0, 0, 0.0)]) * len(target)
        assert written.log_p == written.score == pytest.approx(-loss, rel=1e-4, abs=1e-4)


def test_smoothing_is_for_training_and_the_loss_is_torchs(tokenizer):
    model = build(tokenizer, label_smoothing=0.3)
    batch, targets = model.task.collate(windows_of(model, PAIRS), 0, 0, 0.0)
    logits = []
    hook = model.task.decoder.register_forward_hook(lambda module, given, hidden: logits.append(hidden))
    losses = {training: model.train(training)(batch, targets) for training in (True, False)}
    hook.remove()
    for (training, loss), hidden in zip(losses.items(), logits, strict=True):
        scores = hidden @ model.encoder.embeddings.token.weight.T + model.task.bias
        smoothing = 0.3 if training else 0.0
        wanted = torch.nn.functional.cross_entropy(
            scores, targets.labels, reduction="sum", label_smoothing=smoothing
        )
        torch.testing.assert_close(loss.sums["loss"], wanted)
    assert isinstance(losses[True], Loss)
    assert losses[True].counts == {"loss": sum(len(w.target) for w in windows_of(model, PAIRS))}


@pytest.mark.parametrize("copy", [False, True])
def test_nothing_is_written_that_no_text_holds(tokenizer, copy):
    model = build(tokenizer, copy_attention=copy)
    special = [token for token in tokenizer.special_ids if token != tokenizer.sep_id]
    model.task.bias.data[special] = 1e4
    if copy:
        model.task.pointer.gate.bias.data.fill_(-50.0)  # copies alone
    with torch.no_grad():
        (written,) = model.task.predict(model.encoder.eval(), *one_source(model, "one"))
    assert not set(written.ids) & set(special)


def test_a_short_source_may_have_a_long_target(tokenizer):
    """It was held to twice the source and ten tokens, whatever max_target_length said."""
    model = build(tokenizer, max_target_length=40)
    model.task.bias.data[tokenizer.sep_id] = -1e4
    with torch.no_grad():
        (written,) = model.task.predict(model.encoder.eval(), *one_source(model, "one"))
    assert len(written.ids) == 39  # and the end


def one_source(model: Model, text: str):
    windows = model.task.encode(text)
    batch, _ = model.task.collate(windows, 0, 0, 0.0)
    return batch, windows


def test_long_texts_are_cut_or_refused_and_a_cut_target_still_ends_and_is_counted(tokenizer, capsys):
    long = " ".join(WORDS * 20)
    cut = build(tokenizer, max_length=23, max_target_length=7)
    (window,) = cut.task.encode(mb.ParallelExample(long, long))
    assert len(window) == 23
    assert len(window.target) == 7
    assert window.target[-1] == tokenizer.sep_id
    assert cut.task.fit_of([window]) == "target_cut"
    assert cut.task.fit_of(cut.task.encode(mb.ParallelExample(long, "1"))) == "cut"
    assert cut.task.fit_of(cut.task.encode(mb.ParallelExample("1", "1"))) == "whole"
    whole = len(tokenizer.encode(" ".join(WORDS)).ids) + 1
    exact = build(tokenizer, max_target_length=whole)
    assert exact.task.fit_of(exact.task.encode(mb.ParallelExample("1", " ".join(WORDS)))) == "whole"
    tell_long(long_ones([[window], cut.task.encode("1")], cut.task), 23)
    told = "2 examples; 0 split, 0 cut off at 23 tokens, 1 targets cut off at --max-target-length"
    assert told in capsys.readouterr().err
    refusing = build(tokenizer, on_long="error")
    with pytest.raises(InputError, match=str(LONGEST - 2)):
        refusing.task.encode(mb.ParallelExample(long, "1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_smoothing": 1.0},
        {"decoder_layers": -1},
        {"max_target_length": 1},
        {"num_beams": 0},
        {"on_long": "split"},
        {"metric": "meteor"},
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(tokenizer, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        build(tokenizer, **wrong)


def test_a_narrow_table_needs_a_second_one(tokenizer):
    config = replace(shape("bert", tokenizer.vocab_size), embedding_size=13)
    with pytest.raises(InputError, match="13 wide"):
        Seq2Seq.build(tokenizer, config, PAIRS, {})
    task = Seq2Seq.build(tokenizer, config, PAIRS, {"share_embeddings": False})
    assert len(Model(Encoder(config), task).predict(["one"])) == 1


def test_a_vocabulary_that_does_not_know_one_side_is_refused(tokenizer):
    class Ignorant:
        unknown_id, vocab_size = 1, tokenizer.vocab_size

        def encode_ids(self, texts):
            return [[1 if "你" in text else 5] for text in texts]

    foreign = [mb.ParallelExample("hello", "你好")] * 3
    with pytest.raises(InputError, match=r"100% of the pieces of the target texts"):
        Seq2Seq.build(Ignorant(), shape("bert", tokenizer.vocab_size), foreign, {})


def test_a_name_of_a_size_starts_from_nothing_and_reopens(tmp_path):
    pairs = numbers(400, 1)
    model = finetune(
        "tiny",
        task="seq2seq",
        train=pairs,
        validation=pairs[:20],
        output_dir=tmp_path / "run",
        settings={
            "data.vocab_size": 300,
            "data.progress": False,
            "train.num_train_epochs": 2,
            "train.learning_rate": 3e-3,
            "train.precision": "fp32",
            "model.hidden_size": 64,
            "model.hidden_dropout_prob": 0.0,
        },
    )
    assert model.encoder.config.hidden_size == 64
    assert model.task.tokenizer.vocab_size == 300
    reopened = mb.load(tmp_path / "run")
    assert reopened.predict(["one two"]) == model.predict(["one two"])
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert 0 <= record["best"]["value"] <= 1
    assert record["best"]["metric"] == "chrf"
    loss = model.evaluate_loss([model.task.collate(windows_of(model, pairs[:20]), 0, 0, 0.0)])
    assert loss < 0.8 * math.log(300)


def test_a_size_is_refused_by_a_task_that_needs_an_encoder(tmp_path):
    rows = [mb.TextExample("a", label="x"), mb.TextExample("b", label="y")]
    with pytest.raises(InputError, match="classification starts from an encoder"):
        finetune("tiny", task="classification", train=rows, output_dir=tmp_path / "run")


def test_a_corpus_too_small_for_its_vocabulary_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="8000"):
        finetune("tiny", task="seq2seq", train=PAIRS, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_answer_is_shown_beside_its_source(tokenizer):
    task = build(tokenizer).task
    assert task.show("one", Generated("1", -0.123456)) == {"source": "one", "target": "1", "score": -0.1235}
    assert task.show(PAIRS[0], Generated("1", -1.0))["source"] == "one two"


def test_the_options_make_the_settings_of_generation():
    how = Seq2SeqOptions(
        num_beams=4, min_target_length=2, no_repeat_ngram_size=3, length_penalty=0.6
    ).generation()
    assert (how.num_beams, how.min_length, how.no_repeat_ngram_size, how.length_penalty) == (4, 2, 3, 0.6)
    assert how.max_length == 128


def test_chinese_marks_are_written_as_the_targets_have_them(tmp_path):
    """NFKC knows one comma; the targets say which is meant, and 3,000 keeps its own."""
    pairs = [
        mb.ParallelExample("one", "海啸来了，密切注意啊！"),
        mb.ParallelExample("two", "他说：（三）好吗？"),
        mb.ParallelExample("three", "3,000年；"),
    ]
    texts = [text for pair in pairs * 20 for text in (pair.source, str(pair.target))]
    tokenizer = train_sentencepiece(texts, 294)
    config = shape("bert", tokenizer.vocab_size)
    task = Seq2Seq.build(tokenizer, config, pairs, {"max_target_length": 30})
    again = Seq2Seq.reopen(tokenizer, config, task.settings())
    assert again.full_width == task.full_width == ",?!:;()"
    decoded = tokenizer.encode(pairs[0].target).ids
    assert "," in tokenizer.decode(decoded)
    written = Written(tuple(decoded), -1.0, -1.0)
    assert [task.merge(pair, [], [written]).target for pair in pairs[:1]] == [pairs[0].target]
    assert Seq2Seq.reopen(tokenizer, config, {}).full_width == ""  # a folder of an earlier version


@pytest.mark.parametrize("copy", [False, True])
def test_a_run_that_was_cut_ends_with_the_same_weights(tokenizer, tmp_path, copy):
    def fresh(seed: int) -> Model:
        return build(tokenizer, seed=seed, copy_attention=copy)

    check_resuming(fresh, PAIRS, tmp_path / "state", precision="fp32")


def test_what_a_vocabulary_cannot_spell_is_refused_and_a_swapped_pair_is_not_noticed(tmp_path):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    import foreign_tokenizers

    tokenizer = load_tokenizer(foreign_tokenizers.wordpiece(tmp_path / "t"))
    config = shape("bert", tokenizer.vocab_size)
    for texts in (
        ("a list holds numbers", "eine liste von zahlen"),
        ("a list holds numbers", "列表里有数字"),
    ):
        for source, target in (texts, texts[::-1]):
            rows = [mb.ParallelExample(source, target)] * 3
            if "eine" in texts[1]:
                Seq2Seq.build(tokenizer, config, rows, {})
            else:
                with pytest.raises(InputError, match="unknown to this vocabulary"):
                    Seq2Seq.build(tokenizer, config, rows, {})
