"""A student learns the vectors of an encoder that knows no labels, and is an encoder like any other."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny_runs
import torch
from tiny_runs import last_line

from minibert.cli import main
from minibert.data.examples import SearchExample, TextExample
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.further.distill import distill
from minibert.further.student import student_of
from minibert.further.vectors import teacher_of, texts_in
from minibert.interop.kinds import is_encoder
from minibert.interop.opening import load
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.task import Targets
from minibert.training.distillation import vectors_alike

WORDS = [f"the {noun} {verb}" for noun in tiny_runs.CLASSES for verb in tiny_runs.VERBS]
FAST = {"train.precision": "fp32", "data.progress": False, "train.learning_rate": 5e-3,
        "train.max_steps": 60, "distill.layers": 1}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with an encoder of two layers: ours, Hugging Face's, and one made to find texts."""
    folder = tmp_path_factory.mktemp("vectors")
    tiny_runs.make_encoder(folder / "enc")
    known = load(folder / "enc")
    config = replace(known.encoder.config, num_hidden_layers=2, hidden_dropout_prob=0.0,
                     attention_probs_dropout_prob=0.0)  # fmt: skip
    torch.manual_seed(0)
    made = Model(Encoder(config), MaskedLM(known.task.tokenizer, config))
    for weight in made.encoder.blocks[0].parameters():  # the layer that a student of one layer lacks
        weight.data *= 10 if weight.ndim == 2 else 1
    made.save(folder / "ours")
    load_encoder(folder / "ours").save_pretrained(folder / "theirs")
    teacher = teacher_of(folder / "ours")
    options = {"pooling": "first", "max_length": 9, "similarity": "dot"}
    teacher.task = Retrieval.build(teacher.task.tokenizer, teacher.encoder.config, [], options)
    teacher.save(folder / "finder")
    return folder


def likeness(teacher, student):
    first, second = (load_encoder(one).embed(WORDS, progress=False) for one in (teacher, student))
    return float((first * second).sum(1).mean())


@pytest.mark.parametrize("kind", ["ours", "theirs", "finder"])
def test_a_student_comes_nearer_to_the_vectors_of_its_teacher(kind, folder, tmp_path):
    student_of(teacher_of(folder / kind), 1).save(tmp_path / "untaught")
    alone = {**FAST, "distill.hidden_weight": 0.0}
    distill(folder / kind, train=WORDS, output_dir=tmp_path / "out", settings=alone)
    before, after = (likeness(folder / kind, tmp_path / name) for name in ("untaught", "out"))
    assert 1 - after < 0.3 * (1 - before)
    teacher, student = load_encoder(folder / kind), load_encoder(tmp_path / "out")
    assert len(student.encoder.blocks) == 1
    assert (student.pooling, student.max_length) == (teacher.pooling, teacher.max_length)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_loss_by_hand(folder, similarity):
    teacher = teacher_of(folder / "ours")
    shape = {"similarity": similarity}
    teacher.task = Retrieval.build(teacher.task.tokenizer, teacher.encoder.config, [], shape)
    student = student_of(teacher, 1).eval()
    windows = [teacher.task.encode(text)[0] for text in WORDS[:3]]
    batch = Packed.of([window.tokens.ids for window in windows])
    targets = Targets(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    found = vectors_alike(student, teacher)(batch, targets)
    total = 0.0
    for text in WORDS[:3]:
        said, own = (
            load_like(model)
            .embed([text], normalize=similarity == "cosine", progress=False)[0]
            .astype(np.float64)
            for model in (teacher, student)
        )
        total += np.square(own - said).sum() / np.square(said).sum()
    assert found.sums["loss"].item() == pytest.approx(total, rel=1e-4)
    assert found.counts == {"loss": 3}
    found.mean().backward()
    assert all(weight.grad is None for weight in teacher.parameters())


def load_like(model):
    from minibert.embedding.text_encoder import TextEncoder

    return TextEncoder(model.encoder, model.task.tokenizer, max_length=model.task.max_length)


def test_every_text_of_a_row_is_learnt_once(folder, tmp_path, capsys):
    rows = ["a", SearchExample("a", "b", ("c", "a")), TextExample("d", "e"), TextExample("b")]
    assert [text for row in rows for text in texts_in(row)] == ["a", "a", "b", "c", "a", "d", "e", "b"]
    distill(folder / "ours", train=rows, output_dir=tmp_path / "out", settings={**FAST, "train.max_steps": 1})
    assert "5 examples; 0 split" in capsys.readouterr().err
    told = json.loads((tmp_path / "out/run.json").read_text("utf-8"))
    assert told["settings"]["distill"]["label_weight"] == 0


@pytest.mark.parametrize(
    ("architecture", "wanted"),
    [("BertModel", True), ("BertForMaskedLM", True), ("ElectraForPreTraining", True),
     ("BertForSequenceClassification", False), ("BertForMultipleChoice", False)],
)  # fmt: skip
def test_which_folders_hold_an_encoder_without_labels(architecture, wanted, folder, tmp_path):
    assert is_encoder(folder / "ours") and not is_encoder(folder / "finder")
    shutil.copytree(folder / "theirs", tmp_path / "other")
    config = json.loads((tmp_path / "other/config.json").read_text("utf-8"))
    (tmp_path / "other/config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    assert is_encoder(tmp_path / "other") is wanted
    if wanted:  # the head that the name promises may be missing
        assert isinstance(teacher_of(tmp_path / "other").task, Retrieval)
    else:
        with pytest.raises(InputError):
            teacher_of(tmp_path / "other")


def test_a_file_of_texts_or_pairs_gives_all_its_texts(folder, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("a cat\na dog\n", "utf-8")
    (tmp_path / "pairs.csv").write_text("question,answer,label\nwho?,Ada,1\nwho?,a cat,0\n", "utf-8")
    few = {**FAST, "train.max_steps": 1}
    for name, count in (("texts.txt", 2), ("pairs.csv", 3)):
        distill(folder / "ours", train=tmp_path / name, output_dir=tmp_path / name[:5], settings=few)
        assert f"{count} examples; 0 split" in capsys.readouterr().err
    with pytest.raises(InputError, match="is no text; strings, TextExample or SearchExample are wanted"):
        distill(folder / "ours", train=[3], output_dir=tmp_path / "out", settings=few)


def test_its_record_can_be_given_back(folder, tmp_path):
    distill(
        folder / "ours", train=WORDS, output_dir=tmp_path / "out", settings={**FAST, "train.max_steps": 2}
    )
    told = json.loads((tmp_path / "out/run.json").read_text("utf-8"))["settings"]
    distill(
        folder / "ours", train=WORDS, output_dir=tmp_path / "again", settings={**told, "data.progress": False}
    )
    first, second = (load(tmp_path / name).state_dict() for name in ("out", "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"settings": {**FAST, "distill.temperature": 3.0}}, "temperature 3.0: vectors are learnt without"),
        ({"settings": {**FAST, "distill.label_weight": 0.3}}, "label_weight 0.3: vectors are learnt without"),
        ({"model": "enc"}, "has no labels to teach but vectors, and those to a part of itself alone"),
    ],
)
def test_what_only_labels_can_use_is_refused(folder, tmp_path, more, told):
    if "model" in more:
        more = {"model": folder / "enc", "settings": {"data.progress": False}}
    with pytest.raises(InputError, match=told):
        distill(folder / "ours", train=WORDS, output_dir=tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_several_encoders_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="leave the other teachers and model out"):
        distill([folder / "ours", folder / "finder"], train=WORDS, output_dir=tmp_path / "out", settings=FAST)


def test_from_a_file_of_texts_to_a_smaller_encoder_by_the_command_line(folder, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("\n".join(WORDS), "utf-8")
    pairs = [{"query": text, "positive": text.split()[1]} for text in WORDS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), "utf-8")
    common = ["distill", "--teacher", str(folder / "theirs"), "--layers", "1", "--max-steps", "2", "--fp32",
              "--no-progress"]  # fmt: skip
    out = str(tmp_path / "out")
    assert main([*common, "--file", str(tmp_path / "texts.txt"), "--output-dir", out]) == 0
    result = last_line(capsys.readouterr().out)
    assert (result["teacher"]["layers"], result["student"]["layers"]) == (2, 1)
    assert main(["embed", "--model", out, "the cat"]) == 0
    assert (
        len(last_line(capsys.readouterr().out)["embedding"]) == load_encoder(out).encoder.config.hidden_size
    )
    both = ["--train-file", str(tmp_path / "pairs.jsonl"), "--validation-file", str(tmp_path / "pairs.jsonl")]
    assert main([*common, *both, "--output-dir", str(tmp_path / "again")]) == 0
    assert "ndcg@10" in last_line(capsys.readouterr().out)["student"]
    assert main(["predict", "--model", str(tmp_path / "again"), "--file", str(tmp_path / "texts.txt")]) == 0
    assert capsys.readouterr().out.count("vector") == len(WORDS)
