"""Labels as words that fill a gap: the promises of every task, the scores by hand, templates, mistakes."""

import math

import numpy as np
import pytest
import tiny_runs
import torch
import word_models
from check_task import check_task, shape
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st

import minibert as mb
from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.cloze import Cloze
from minibert.tasks.model import Model
from minibert.tasks.templates import Template, read_verbalizer, word_numbers

RATED = [
    TextExample("The value is a list.", label="good"),
    TextExample("a list", label="good"),
    TextExample("An error is raised.", label="bad"),
    TextExample("an error", label="bad"),
]
PAIRS = [
    TextExample("a list", "an object", "same"),
    TextExample("a list", "an error", "other"),
    TextExample("the value", "an object", "same"),
    TextExample("the value", "an error", "other"),
]
OPTIONS = {"template": "{text} It is [MASK].", "verbalizer": "good=the|a,bad=not"}
PAIRED = {"template": "{text} is [MASK] {text_b}.", "verbalizer": {"same": "the", "other": ["not", "a"]}}


@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
def test_a_cloze_keeps_every_promise(english, tmp_path, recipe):
    model = check_task(Cloze, RATED, english, tmp_path, options=OPTIONS, recipe=recipe)
    assert [answer.label for answer in model.predict(RATED)] == [row.label for row in RATED]


def test_a_cloze_of_pairs_keeps_every_promise(english, tmp_path):
    check_task(Cloze, PAIRS, english, tmp_path, options=PAIRED)


@pytest.fixture
def task(english):
    return Cloze.build(english, shape("bert", english.vocab_size), RATED, OPTIONS)


def test_the_scores_are_those_of_the_words_at_the_gap_averaged_in_each_label(task, english):
    model = Model(Encoder(shape("bert", english.vocab_size)), task).eval()
    for row, answer in zip(RATED, model.predict(RATED), strict=True):
        window = task.language_model.encode(f"{row.text} It is [MASK].")[0]
        with torch.no_grad():
            (p_V,) = task.language_model.predict(model.encoder, task.pack([window]), [window])[0]
        the, a, no = (math.log(p_V[english.encode(word).ids[0]]) for word in ("the", "a", "not"))
        good, bad = (the + a) / 2, no
        wanted = 1 / (1 + math.exp(bad - good))
        assert answer.probabilities["good"] == pytest.approx(wanted, abs=1e-5)


@torch.no_grad()
def test_the_scores_of_words_are_not_rounded_where_the_encoder_computes_in_bfloat16(task, english):
    encoder = Encoder(shape("bert", english.vocab_size)).eval()
    encoder.dtype = torch.bfloat16
    window = task.encode(RATED[0])[0]
    batch, rows = task.pack([window]), torch.from_numpy(window.rows)
    hidden_1D = task.language_model.head(encoder(batch)[rows])
    assert hidden_1D.dtype == torch.bfloat16
    table_WD = encoder.embeddings.token.weight[task.ids_W].double()
    wanted_1C = hidden_1D.double() @ table_WD.T @ task.share_WC.double()
    torch.testing.assert_close(task.logits(encoder, batch, rows).double(), wanted_1C, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_cross_entropy_over_the_labels_alone(task, english):
    model = Model(Encoder(shape("bert", english.vocab_size)), task).eval()
    windows = [window for row in RATED for window in task.encode(row)]
    loss = model(*task.collate(windows, 0, 0, 0.0))
    told = model.predict(RATED)
    wanted = -sum(math.log(answer.probabilities[row.label]) for row, answer in zip(RATED, told, strict=True))
    assert loss.sums["loss"].item() == pytest.approx(wanted, rel=1e-5)
    assert loss.counts == {"loss": 4}


def test_a_saved_encoder_brings_its_head_and_fine_tuning_finds_the_words(tmp_path, capsys):
    encoder = word_models.make_folder(tmp_path / "enc")
    rows = tiny_runs.write_table(tmp_path / "train.csv")
    words = ["finetune", "--task", "cloze", "--model", str(encoder), "--train-file", str(rows)]
    words += ["--validation-file", str(rows), "--output-dir", str(tmp_path / "clz"), "--no-progress"]
    words += ["--template", "{text} . it is [MASK].", "--verbalizer", "animal=animal|dog,thing=thing"]
    assert main([*words, "--learning-rate", "3e-3", "--num-train-epochs", "20"]) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["accuracy"] == 1.0
    assert main(["evaluate", "--model", str(tmp_path / "clz"), "--file", str(rows)]) == 0
    assert main(["predict", "--model", str(tmp_path / "clz"), "the dog sees"]) == 0
    assert '"label": "animal"' in capsys.readouterr().out


def test_before_a_step_the_head_is_that_of_the_encoder(tmp_path):
    encoder = word_models.make_folder(tmp_path / "enc")
    settings = {"train.max_steps": 1, "train.learning_rate": 1e-30, "data.progress": False}
    settings |= {"task.template": "{text} . it is [MASK].", "task.verbalizer": {"a": "dog", "b": "stone"}}
    rows = [TextExample("the cat", label="a"), TextExample("the road", label="b")]
    model = mb.finetune(encoder, task="cloze", train=rows, output_dir=tmp_path / "clz", settings=settings)
    before = mb.load(encoder).task.state_dict()
    for name, weight in model.task.language_model.state_dict().items():
        torch.testing.assert_close(weight, before[name], atol=1e-20, rtol=0)


def test_an_encoder_without_a_head_says_how_to_get_one(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    from foreign_models import make_model, odd_config, save_model, write_vocabulary

    folder = save_model(make_model(odd_config("bert", 1), "Model"), tmp_path / "foreign")
    write_vocabulary(folder)
    settings = {"task.template": "{text} w5 [MASK]", "task.verbalizer": "a=w7,b=w8"}
    rows = [TextExample("w9", label="a"), TextExample("w10", label="b")]
    with pytest.raises(InputError, match=r"no masked-language-model head.*minibert pretrain"):
        mb.finetune(folder, task="cloze", train=rows, output_dir=tmp_path / "out", settings=settings)


@pytest.mark.parametrize("mask", ["bert", "roberta"])
def test_a_foreign_language_model_scores_its_words_as_its_own_library_does(tmp_path, mask):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import foreign_tokenizers
    from foreign_models import make_model, odd_config, save_model

    from minibert.text.loading import load_tokenizer

    place = foreign_tokenizers.KINDS[{"bert": "wordpiece", "roberta": "byte_bpe"}[mask]](tmp_path / "foreign")
    tokenizer = load_tokenizer(place)
    ids = {"pad_token_id": tokenizer.pad_id} if mask == "roberta" else {}
    sizes = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": 60}
    folder = save_model(make_model(odd_config(mask, 2, **sizes, **ids), "ForMaskedLM"), place)
    settings = {"train.max_steps": 1, "train.learning_rate": 1e-30, "data.progress": False}
    settings |= {"train.precision": "fp32", "task.template": "{text} of [MASK] list"}
    settings |= {"task.verbalizer": {"yes": "the", "no": "not"}}
    rows = [TextExample("the value", label="yes"), TextExample("an object", label="no")]
    model = mb.finetune(folder, task="cloze", train=rows, output_dir=tmp_path / "clz", settings=settings)
    auto = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    space = "\u0120" if mask == "roberta" else ""
    words = auto.convert_tokens_to_ids([f"{space}the", f"{space}not"])
    for row, answer in zip(rows, model.predict(rows), strict=True):
        batch = auto(f"{row.text} of {auto.mask_token} list", return_tensors="pt")
        at = (batch["input_ids"][0] == auto.mask_token_id).nonzero().item()
        with torch.no_grad():
            wanted = theirs(**batch).logits[0, at, words].softmax(-1)
        assert answer.probabilities["yes"] == pytest.approx(wanted[0].item(), abs=1e-5)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(8, 30))
def test_texts_are_cut_and_the_template_stays_whole(first, second, longest):
    tokenizer = FakeTokenizer(61, ["so", "is"])
    template = Template.of("{text} is [MASK] so {text_b}")
    text, pair = " ".join(["w9"] * first), " ".join(["w11"] * second)
    tokens, gap = template.encode(tokenizer, text, pair, max_length=longest)
    pieces = tokenizer.tokens(tokens.ids)
    assert [pieces[row] for row in gap] == ["[MASK]"]
    counts = [pieces.count(piece) for piece in ("w9", "w11")]
    assert len(pieces) == min(longest, 5 + first + second) == 5 + sum(counts)
    assert pieces == ["[CLS]", *["w9"] * counts[0], "is", "[MASK]", "so", *["w11"] * counts[1], "[SEP]"]
    if first + second > longest - 5:  # the longer gives way
        assert abs(counts[0] - counts[1]) <= 1 or min(counts) == min(first, second)


def test_a_text_that_spells_a_mask_or_a_field_is_only_text(english):
    template = Template.of("{text} It is [MASK].")
    tokens, _ = template.encode(english, "a [MASK] {text_b} {text}", None, max_length=60)
    assert (tokens.ids == english.mask_id).sum() == 1
    assert english.tokens(tokens.ids)[-4:] == ["▁is", "[MASK]", ".", "[SEP]"]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{text} It was good.", "no \\[MASK\\]"),
        ("[MASK] {text} [MASK]", "2 times \\[MASK\\]"),
        ("It was [MASK].", "0 times \\{text\\}"),
        ("{text} {text} [MASK].", "2 times \\{text\\}"),
        ("{txt} It was [MASK].", "field \\{txt\\} is unknown"),
        ("", "needs a template"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(english, template, told):
    with pytest.raises(InputError, match=told):
        Cloze.build(english, shape("bert", english.vocab_size), RATED, {**OPTIONS, "template": template})


@pytest.mark.parametrize(
    ("verbalizer", "told"),
    [
        ("good=the", "no word for label 'bad'.*good=the"),
        ("good=the,bad=the", "'the' stands for 'good' and for 'bad'"),
        ("good=the,bad=exceptionally", "'exceptionally' is .* takes one token"),
        ("good=the,bad=exept", "near words that are one: .*except"),
        ("good=the,bad", "'bad' is not one label=word"),
        ("good=the,good=a,bad=not", "'good=a' is not one label=word"),
    ],
)
def test_a_word_that_cannot_be_used_is_told(english, verbalizer, told):
    with pytest.raises(InputError, match=told):
        Cloze.build(english, shape("bert", english.vocab_size), RATED, {**OPTIONS, "verbalizer": verbalizer})


def test_an_unknown_word_is_told():
    tokenizer = FakeTokenizer(61, ["so", "is"])
    with pytest.raises(InputError, match=r"'great' is unknown to the vocabulary"):
        word_numbers(tokenizer, Template.of("{text} [MASK]"), {"good": ("great",)})


def test_without_a_verbalizer_the_labels_are_the_words(english):
    assert read_verbalizer("", ["not", "the"]) == {"not": ("not",), "the": ("the",)}


def test_pairs_and_their_template_go_together(task):
    with pytest.raises(InputError, match="has a second text"):
        task.encode(TextExample("a", "b"))
    with pytest.raises(InputError, match="no second text"):
        Template.of("{text} [MASK] {text_b}").fill("a", None)


def test_a_template_longer_than_the_model_is_told(english):
    options = {**OPTIONS, "template": "word " * 80 + "{text} [MASK]"}
    with pytest.raises(InputError, match=r"alone has .* takes 61"):
        Cloze.build(english, shape("bert", english.vocab_size), RATED, options)


def test_a_word_is_the_token_that_stands_in_the_gap(english):
    inside = word_numbers(english, Template.of("{text} It is [MASK]."), {"a": ("the",)})
    first = word_numbers(english, Template.of("[MASK]: {text}"), {"a": ("the",)})
    assert english.tokens(inside["a"]) == english.tokens(first["a"]) == ["▁the"]
    assert np.array_equal(inside["a"], english.encode("the").ids)


def test_a_length_that_leaves_no_room_beside_the_template_is_refused(english):
    alone = len(english.encode("It is")) + 1 + english.special_count()
    options = {**OPTIONS, "template": "{text}It is [MASK]", "max_length": alone}
    with pytest.raises(InputError, match=rf"max_length {alone} leaves no room for a text"):
        Cloze.build(english, shape("bert", english.vocab_size), RATED, options)
    task = Cloze.build(
        english, shape("bert", english.vocab_size), RATED, {**options, "max_length": alone + 1}
    )
    assert len(task.encode("a list of words")[0]) == alone + 1
