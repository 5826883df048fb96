"""One student learns what several teachers answered, of whatever encoders, tokenizers and templates."""

import json
from dataclasses import replace

import pytest
import tiny_runs
import torch
from tiny_runs import last_line

from minibert.cli import main
from minibert.data.examples import NumberExample, TextExample
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.further.answers import answers_of, check_labels, gold_of, numbered
from minibert.further.distill import distill
from minibert.further.learn_on import learn_on
from minibert.further.student import student_of
from minibert.interop.opening import load
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification, Classified
from minibert.tasks.model import TASKS, Model
from minibert.tasks.task import Loss, Targets
from minibert.training.config import TrainingConfig
from minibert.training.distillation import answered, soft_targets

FAST = {"train.precision": "fp32", "data.progress": False, "train.learning_rate": 5e-3, "train.max_steps": 60}
CPU = TrainingConfig(precision="fp32")
WORDS = [f"the {noun} {verb}" for noun in tiny_runs.CLASSES for verb in tiny_runs.VERBS]
ROWS = [TextExample(text, label=tiny_runs.CLASSES[text.split()[1]]) for text in WORDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of an encoder and of teachers that say something definite and never learnt it.

    one, two  the same tokenizer; the labels of `two` stand the other way round
    far       a tokenizer of its own
    """
    folder = tmp_path_factory.mktemp("answers")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.make_encoder(folder / "other", vocabulary=tiny_runs.VOCABULARY - 7)
    for number, (name, base) in enumerate((("one", "enc"), ("two", "enc"), ("far", "other"))):
        torch.manual_seed(number)
        teacher(load(folder / base), number % 2 == 1).save(folder / name)
    return folder


def teacher(known, turned):
    made = Model(Encoder(known.encoder.config), build(known, ["thing", "animal"] if turned else None))
    for weight in (made.task.classifier.weight, made.task.classifier.bias):
        torch.nn.init.normal_(weight, std=1.0)
    return made.eval()


def build(known, labels=None):
    options = {"pooling": "mean", "classifier_dropout": 0.0}
    made = Classification.build(known.task.tokenizer, known.encoder.config, ROWS, options)
    if labels is None:
        return made
    return Classification.reopen(
        known.task.tokenizer, known.encoder.config, {**made.settings(), "labels": labels}
    )


def shares(model, label="animal", rows=WORDS):
    return torch.tensor([answer.probabilities[label] for answer in model.predict(rows)])


def test_answers_are_logarithms_of_means_of_each_label_by_its_name(folder, monkeypatch):
    monkeypatch.setattr("minibert.further.answers.CHUNK", 7)
    teachers = [folder / "one", folder / "two", folder / "far"]
    said = answers_of(teachers, ROWS, ("animal", "thing"), config=CPU)
    wanted = sum(shares(load(each)) for each in teachers) / 3
    torch.testing.assert_close(said[:, 0], wanted.log())
    turned = answers_of(teachers, WORDS, ("thing", "animal"), config=CPU)
    torch.testing.assert_close(turned.flip(1), said)


def test_two_teachers_outvote_one_that_is_certain(folder, monkeypatch):
    sayings = iter([{"animal": 1.0, "thing": 0.0}, *[{"animal": 0.1, "thing": 0.9}] * 2])

    def predict(self, rows):
        saying = next(sayings)
        return [Classified("any", saying) for _ in rows]

    monkeypatch.setattr(Model, "predict", predict)
    said = answers_of([folder / "one"] * 3, ROWS, ("animal", "thing"), config=CPU)
    assert said[0].exp().tolist() == pytest.approx([0.4, 0.6])


def test_what_all_teachers_exclude_has_a_logarithm(folder, monkeypatch):
    sure = Classified("animal", {"animal": 1.0, "thing": 0.0})
    monkeypatch.setattr(Model, "predict", lambda self, rows: [sure for _ in rows])
    said = answers_of([folder / "one"], ROWS, ("animal", "thing"), config=CPU)
    assert said[0].exp().tolist() == pytest.approx([1.0, 1e-12])


def test_windows_hold_the_number_of_their_row_and_never_its_label(folder):
    task = load(folder / "one").task
    task.options = replace(task.options, on_long="split")
    long = " ".join(["the cat sees the stone"] * 20)
    parts = numbered(task, [ROWS[-1], long, ROWS[0]])
    labels = [[window.labels.tolist() for window in windows] for windows in parts]
    assert labels == [[[0]], [[1]] * len(parts[1]), [[2]]]
    assert len(parts[1]) > 1
    assert gold_of(task, [ROWS[-1], "the cat", ROWS[0], replace(ROWS[0], label=None)]).tolist() == [
        task.numbers[ROWS[-1].label], -1, task.numbers[ROWS[0].label], -1,
    ]  # fmt: skip


@pytest.mark.parametrize("label_weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_row_hears_answers_and_its_label_or_answers_alone(label_weight, temperature):
    torch.manual_seed(0)
    said, gold = torch.randn(5, 3), torch.tensor([2, -1, 0, -1, 1])
    logits = torch.randn(3, 3, requires_grad=True)
    seen = []

    def own(batch, targets):
        seen.append(targets.labels.tolist())
        total = torch.nn.functional.cross_entropy(logits, targets.labels, reduction="sum", ignore_index=-1)
        return Loss({"loss": total}, targets.counts, logits={"loss": logits})

    rows = torch.tensor([4, 1, 0])
    objective = answered(own, said, gold, temperature=temperature, label_weight=label_weight)
    found = objective(None, Targets(torch.arange(3), rows))
    assert seen == [[1, -1, 2]]
    apart = soft_targets(logits, said[rows], temperature)
    cross = [-logits.log_softmax(-1)[place, label] for place, label in ((0, 1), (2, 2))]
    wanted = (1 - label_weight) * (apart[0] + apart[2]) + apart[1] + label_weight * sum(cross)
    torch.testing.assert_close(found.sums["loss"], wanted)
    assert found.counts == {"loss": 3}


def test_a_student_of_another_encoder_comes_near_to_all_teachers_together(folder, tmp_path):
    teachers = [folder / "one", folder / "two"]
    said = answers_of(teachers, WORDS, ("animal", "thing"), config=CPU).softmax(-1)[:, 0]
    torch.manual_seed(0)
    fresh = teacher(load(folder / "other"), False)
    student = distill(teachers, train=WORDS, output_dir=tmp_path / "out", model=folder / "other",
                      settings={**FAST, "task.pooling": "mean", "train.max_steps": 150,
                                "distill.temperature": 1.0})  # fmt: skip
    assert (shares(student) - said).abs().mean() < 0.2 * (shares(fresh) - said).abs().mean()
    assert (shares(student) - said).abs().mean() < 0.1
    again = load(tmp_path / "out")
    assert again.task.labels == ("animal", "thing")
    torch.testing.assert_close(shares(again), shares(student))


def test_gaps_of_several_templates_become_one_classifier(folder, tmp_path):
    templates = ("{text} is [MASK].", "is [MASK]: {text}")
    for number, template in enumerate(templates):
        words = {"task.template": template, "task.verbalizer": "animal=c,thing=r"}
        finetune(folder / "enc", task="cloze", train=ROWS, output_dir=tmp_path / str(number),
                 settings={**FAST, **words, "train.max_steps": 40})  # fmt: skip
    teachers = [tmp_path / "0", tmp_path / "1"]
    student = distill(teachers, train=WORDS, output_dir=tmp_path / "out", model=folder / "enc",
                      settings={**FAST, "task.pooling": "mean"})  # fmt: skip
    assert isinstance(student.task, Classification)
    right = [answer.label == row.label for answer, row in zip(student.predict(WORDS), ROWS, strict=True)]
    assert sum(right) > 0.9 * len(right)


def test_several_teachers_teach_a_part_of_the_first(folder, tmp_path):
    config = replace(load(folder / "one").encoder.config, num_hidden_layers=2)
    known = load(folder / "one")
    torch.manual_seed(0)
    for name in ("a", "b"):
        made = Model(Encoder(config), build(known))
        torch.nn.init.normal_(made.task.classifier.weight)
        for weight in made.encoder.blocks[0].parameters():  # the layer that a student of one layer lacks
            weight.data *= 10 if weight.ndim == 2 else 1
        made.save(tmp_path / name)
    teachers = [tmp_path / "a", tmp_path / "b"]
    said = answers_of(teachers, WORDS, ("animal", "thing"), config=CPU).exp()[:, 0]
    before = (shares(student_of(load(teachers[0]), 1)) - said).abs().mean()
    settings = {**FAST, "distill.layers": 1, "distill.temperature": 1.0}
    student = distill(teachers, train=WORDS, output_dir=tmp_path / "out", settings=settings)
    assert len(student.encoder.blocks) == 1
    assert (shares(student) - said).abs().mean() < 0.3 * before
    told = json.loads((tmp_path / "out/run.json").read_text("utf-8"))["settings"]["distill"]
    assert (told["layers"], told["hidden_weight"]) == (1, 0.0)


def test_labels_that_are_known_are_heard_beside_the_teachers(folder, tmp_path):
    """Teachers that know nothing are overruled by labels, and by them alone."""
    made = load(folder / "one")
    for weight in made.task.classifier.parameters():
        torch.nn.init.zeros_(weight)
    made.save(tmp_path / "dull")
    found = {}
    for name, rows in (("labels", ROWS), ("texts", WORDS)):
        student = distill(tmp_path / "dull", train=rows, output_dir=tmp_path / name, model=folder / "enc",
                          settings={**FAST, "task.pooling": "mean", "distill.label_weight": 0.9})  # fmt: skip
        found[name] = (shares(student) - 0.5).abs().mean().item()
    assert found["labels"] > 0.3 > 0.05 > found["texts"]


def test_a_run_that_was_taken_up_again_asks_the_same_teachers(folder, tmp_path):
    settings = {**FAST, "task.pooling": "mean", "train.max_steps": 6, "train.save_steps": 3}
    given = {"train": ROWS, "model": folder / "enc", "settings": settings}
    teachers = [folder / "one", folder / "far"]
    whole = distill(teachers, output_dir=tmp_path / "out", **given)
    (tmp_path / "out/model.safetensors").unlink()
    resumed = distill(teachers, output_dir=tmp_path / "out", resume=True, **given)
    for name, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name
    with pytest.raises(InputError, match="teacher-2 is not what the run began with"):
        distill([folder / "one", folder / "two"], output_dir=tmp_path / "out", resume=True, **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": []}, "there is no teacher"),
        ({"settings": {"distill.layers": 2}}, "layers 2: the student has all 1 of"),
        ({"settings": {"distill.hidden_weight": 0.5}}, "hidden_weight 0.5: only a student that is a part"),
        ({"train": [TextExample("the cat", label="fish")]}, "no teacher knows the label fish; known labels"),
        ({"settings": {"task.poolin": "mean"}}, "poolin"),
        (
            {"settings": {"task.reject_label": "thing"}},
            "reject_label 'thing' is a class that the teachers know",
        ),
        (
            {"model": None, "settings": {"task.pooling": "mean"}},
            "task.pooling: a part of the teacher has its",
        ),
    ],
)
def test_unusable_lessons_leave_nothing_behind(folder, tmp_path, change, message):
    given = {"teacher": [folder / "one"], "train": ROWS, "model": folder / "enc", "settings": {}, **change}
    with pytest.raises(InputError, match=message):
        distill(given.pop("teacher"), output_dir=tmp_path / "out",
                **{**given, "settings": {**FAST, **given["settings"]}})  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_teachers_of_other_labels_or_tasks_are_named(folder, tmp_path):
    known = load(folder / "one")
    Model(known.encoder, build(known, ["animal", "plant"])).save(tmp_path / "plants")
    with pytest.raises(InputError, match="only one of them knows plant, thing"):
        check_labels([folder / "one", tmp_path / "plants"])
    rows = TASKS["regression"]
    number = rows.build(known.task.tokenizer, known.encoder.config, tiny_numbers(), {})
    Model(known.encoder, number).save(tmp_path / "number")
    with pytest.raises(InputError, match=r"number answers with regression; several teachers"):
        distill([tmp_path / "number"] * 2, train=tiny_numbers(), output_dir=tmp_path / "out", settings=FAST)


def tiny_numbers():
    return [NumberExample(text, label=float(number)) for number, text in enumerate(WORDS[:4])]


def test_several_teachers_by_the_command_line(folder, tmp_path, capsys):
    data = tiny_runs.write_table(tmp_path / "train.csv", rows=16)
    (tmp_path / "more.txt").write_text("\n".join(WORDS), "utf-8")
    common = ["distill", "--teacher", folder / "one", "--teacher", folder / "far", "--model", folder / "enc",
              "--pooling", "mean", "--max-steps", 2, "--fp32", "--no-progress", "--train-file", data,
              "--file", tmp_path / "more.txt", "--validation-file", data]  # fmt: skip
    assert main([str(word) for word in [*common, "--output-dir", tmp_path / "a"]]) == 0
    result = last_line(capsys.readouterr().out)
    assert {"teacher-1", "teacher-2", "student"} <= set(result)
    assert result["task"] == "classification"
    assert "accuracy" in result["student"]
    words = [*common, "--layers", 2, "--output-dir", tmp_path / "b"]
    assert main([str(word) for word in words]) == 2
    assert "the student has all 1 of" in capsys.readouterr().err
    again = [*common, "--config", tmp_path / "a/run.json", "--output-dir", tmp_path / "c"]
    assert main([str(word) for word in again]) == 0


@pytest.mark.parametrize("kind", ["bottleneck", "prompt"])
def test_an_adapter_that_cannot_be_merged_teaches_in_any_place(folder, tmp_path, kind):
    settings = {**FAST, "train.max_steps": 2, "adapt.adapter": kind}
    finetune(
        folder / "enc", task="classification", train=ROWS, output_dir=tmp_path / "lora", settings=settings
    )
    for place, teachers in enumerate(
        ([tmp_path / "lora", folder / "one"], [folder / "one", tmp_path / "lora"])
    ):
        distill(teachers, train=WORDS, output_dir=tmp_path / str(place), model=folder / "enc",
                settings={**FAST, "train.max_steps": 1})  # fmt: skip
    with pytest.raises(InputError, match=f"adapter {kind} is no change of matrices"):
        distill([tmp_path / "lora"] * 2, train=WORDS, output_dir=tmp_path / "out", settings=FAST)


def test_a_model_of_several_parts_teaches_one_without_any(folder, tmp_path):
    train = [[row for row in ROWS if row.text.startswith("the")][:8], ROWS[-8:]]
    parts = [
        [*train[0], replace(train[0][0], label="x")],
        [replace(row, label=f"{row.label} 2") for row in ROWS],
    ]
    settings = {**FAST, "train.max_steps": 2, "learn.method": "adapters"}
    model, _ = learn_on(folder / "enc", train=parts, validation=parts, output_dir=tmp_path / "parts",
                        settings=settings)  # fmt: skip
    student = distill(tmp_path / "parts", train=WORDS, output_dir=tmp_path / "out", model=folder / "enc",
                      settings={**FAST, "train.max_steps": 2})  # fmt: skip
    assert {*student.task.labels} == {*model.task.labels}


def test_a_student_rejects_as_its_teachers_do_and_learns_nothing_from_what_is_of_no_class(folder, tmp_path):
    known = load(folder / "one")
    settings = {**known.task.settings(), "reject_label": "none", "reject_below": 0.6}
    task = Classification.reopen(known.task.tokenizer, known.encoder.config, settings)
    Model(known.encoder, task).save(tmp_path / "rejecting")
    mixed = [*ROWS, TextExample("the river", label="none")]
    found = []
    for number, rows in enumerate((mixed, ROWS)):
        student = distill([tmp_path / "rejecting"], train=rows, validation=mixed, model=folder / "enc",
                          output_dir=tmp_path / str(number),
                          settings={**FAST, "train.max_steps": 4})  # fmt: skip
        assert student.task.options.reject_label == "none"
        found.append(student.encoder.embeddings.token.weight)
    assert torch.equal(*found)


@pytest.mark.parametrize("change", [{"train.r_drop_alpha": 3.0}, {"train.fgm_epsilon": 0.5}])
@pytest.mark.parametrize("by_layers", [True, False])
def test_what_asks_twice_asks_the_student_for_its_teachers_word(folder, tmp_path, change, by_layers):
    config = replace(load(folder / "one").encoder.config, num_hidden_layers=2, hidden_dropout_prob=0.3)
    torch.manual_seed(0)
    Model(Encoder(config), build(load(folder / "one"))).save(tmp_path / "teacher")
    found = []
    for name, more in (("plain", {}), ("twice", change)):
        student = distill(tmp_path / "teacher", train=WORDS, output_dir=tmp_path / name,
                          model=None if by_layers else tmp_path / "teacher",
                          settings={**FAST, "train.max_steps": 3, **more,
                                    **({"distill.layers": 1} if by_layers else {})})  # fmt: skip
        found.append(student.encoder.embeddings.token.weight)
    assert not torch.equal(*found)
