"""A student learns the vectors of an encoder that knows no labels, and is an encoder like any other."""

import json
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
from minibert.interop.heads import load
from minibert.interop.kinds import knows_a_task
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
    distill(folder / kind, train=WORDS, output_dir=tmp_path / "out", settings=FAST)
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


def test_who_knows_a_task(folder):
    assert knows_a_task(folder / "ours") and knows_a_task(folder / "finder")
    assert not knows_a_task(folder / "theirs") and not knows_a_task(folder / "nowhere")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"settings": {**FAST, "distill.temperature": 3.0}}, "temperature 3.0: vectors are learnt without"),
        ({"settings": {**FAST, "distill.label_weight": 0.3}}, "label_weight 0.3: vectors are learnt without"),
        ({"model": "enc"}, "an encoder that knows no labels: it teaches its vectors to a part of itself"),
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
