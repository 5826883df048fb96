"""A student begins as a part of its teacher and comes to answer as the teacher does."""

import json
from dataclasses import replace

import pytest
import tiny_runs
import torch
from check_task import shape
from fakes import FakeTokenizer
from small_models import SHAPE, classifier
from tiny_runs import last_line

from minibert.adapt.merging import merged
from minibert.cli import main
from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
    IntentExample,
    MultiLabelExample,
    NumberExample,
    QuestionExample,
    RelationExample,
    SummaryExample,
    TaggedExample,
    TextExample,
)
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.further.distill import distill
from minibert.further.student import evenly_spread, kept_layers, student_of
from minibert.interop.opening import load
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.classification import Classification, ClassificationOptions
from minibert.tasks.model import TASKS, Model
from minibert.training.distillation import taught
from minibert.training.loop import Run

FAST = {"train.precision": "fp32", "data.progress": False, "train.learning_rate": 5e-3,
        "train.max_steps": 60, "distill.layers": 1}  # fmt: skip
WORDS = [f"the {noun} {verb}" for noun in tiny_runs.CLASSES for verb in tiny_runs.VERBS]
ROWS = {
    "classification": [TextExample(text, label=tiny_runs.CLASSES[text.split()[1]]) for text in WORDS],
    "multi_label": [MultiLabelExample(text, labels=(tiny_runs.CLASSES[text.split()[1]],)) for text in WORDS],
    "regression": [NumberExample(text, label=float(text.split()[1] in ("cat", "dog"))) for text in WORDS],
}  # fmt: skip

SPANS = ((0, 3), (4, 8))
MORE_ROWS = {
    "tagging": [TaggedExample("the tree", SPANS, ("O", "B-X")), TaggedExample("the list", SPANS, ("O", "O"))],
    "intent_slots": [
        IntentExample("the tree", SPANS, ("O", "B-X"), "ask"),
        IntentExample("the list", SPANS, ("O", "O"), "say"),
    ],
    "relations": [RelationExample("the tree sees", (4, 8), (9, 13), label) for label in ("a", "b")],
    "question_answering": [
        QuestionExample(f"who sees the {word}?", tiny_runs.PASSAGE, (GoldAnswer("The cat", 0),))
        for word in ("dog", "stone")
    ],
    "multiple_choice": [
        ChoiceExample("the cat", ("sees", "holds a stone", "is"), 0),
        ChoiceExample("the dog", ("is", "sees"), 1),
    ],
    "extractive_summary": [SummaryExample(tiny_runs.PASSAGE, "The cat sees the dog.")],
    "cloze": [TextExample("the cat sees", label="a"), TextExample("a dog", label="s")],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of teachers that have learnt nothing, but say something else of every text."""
    folder = tmp_path_factory.mktemp("distill")
    tiny_runs.make_encoder(folder / "enc")
    known = load(folder / "enc")
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = replace(known.encoder.config, num_hidden_layers=2, **still)
    for task, rows in ROWS.items():
        options = {"pooling": "mean", "classifier_dropout": 0.0}
        made = Model(Encoder(config), TASKS[task].build(known.task.tokenizer, config, rows, options))
        torch.nn.init.normal_(made.task.classifier.weight)
        for weight in made.encoder.blocks[0].parameters():  # the layer that a student of one layer lacks
            weight.data *= 10 if weight.ndim == 2 else 1
        made.save(folder / task)
    return folder


def test_layers_are_spread_evenly_and_end_with_the_last():
    for teacher in range(2, 25):
        config = replace(SHAPE, num_hidden_layers=teacher)
        for student in range(1, teacher):
            layers = kept_layers(config, student)
            assert layers == evenly_spread(teacher, student) == sorted(set(layers))
            assert len(layers) == student
            assert layers[-1] == teacher - 1
            assert max(b - a for a, b in zip([-1, *layers], layers, strict=False)) <= -(-teacher // student)


@pytest.mark.parametrize("every", [2, 3, 5])
def test_local_and_global_layers_keep_their_kind_near_their_places(every):
    for teacher in range(2, 23):
        config = replace(shape("modernbert", 61), num_hidden_layers=teacher, global_attn_every_n_layers=every)
        for student in range(1, teacher):
            layers = kept_layers(config, student)
            assert layers == sorted(set(layers))
            assert [config.window(layer) for layer in layers] == [config.window(n) for n in range(student)]
            wished = evenly_spread(teacher, student)
            assert max(abs(a - b) for a, b in zip(layers, wished, strict=True)) < every


@pytest.mark.parametrize("layers", [0, 3, 7, -1])
def test_a_student_that_is_not_smaller_is_refused(layers):
    with pytest.raises(InputError, match=f"layers {layers}: the teacher has 3; give a number from 1 to 2"):
        student_of(classifier(), layers)


def test_a_student_computes_what_its_teachers_layers_compute():
    teacher = classifier().eval()
    student = student_of(teacher, 2).eval()
    batch = Packed.of([[3, 17, 4], [3, 9, 11, 4]])
    hidden = teacher.encoder.embeddings(batch, torch.float32)
    for layer in (0, 2):
        hidden = teacher.encoder.blocks[layer](hidden, batch.layout)
    torch.testing.assert_close(student.encoder(batch), hidden)
    torch.testing.assert_close(student.task.classifier.weight, teacher.task.classifier.weight)
    student.encoder.embeddings.token.weight.data.zero_()
    assert teacher.encoder.embeddings.token.weight.abs().sum() > 0


def test_a_student_of_the_modern_recipe_has_no_norm_before_its_first_attention():
    config = replace(shape("modernbert", 61), num_hidden_layers=4)
    task = Classification(FakeTokenizer(61), config, ["a", "b"], ClassificationOptions())
    student = student_of(Model(Encoder(config), task), 2)
    assert isinstance(student.encoder.blocks[0].attention_norm, torch.nn.Identity)
    assert student.encoder(Packed.of([[3, 17, 4]])).isfinite().all()


def test_a_student_of_the_modern_recipe_computes_what_its_teachers_layers_compute():
    config = replace(shape("modernbert", 61), num_hidden_layers=4)
    torch.manual_seed(0)
    encoder = Encoder(config).eval()
    student = student_of(
        Model(encoder, Classification(FakeTokenizer(61), config, ["a", "b"], ClassificationOptions())), 3
    )
    batch = Packed.of([torch.randint(5, 61, (40,)).tolist()])  # wider than a window
    hidden, angles = encoder.embeddings(batch, torch.float32), encoder.rotary(batch.layout.positions)
    for layer in (0, 1, 2):  # evenly spread are 0, 1, 3; but layer 3 sees the whole text
        hidden = encoder.blocks[layer](hidden, batch.layout, angles[config.rope_theta(layer)])
    torch.testing.assert_close(student.eval().encoder(batch), encoder.norm(hidden))


@pytest.mark.parametrize("task", ROWS)
def test_a_student_comes_nearer_to_its_teacher_without_any_label(task, folder, tmp_path):
    teacher = load(folder / task)
    texts = [replace(row, **{"labels" if task == "multi_label" else "label": None}) for row in ROWS[task]]

    def apart(model):
        pairs = zip(teacher.predict(texts), model.predict(texts), strict=True)
        if task == "regression":
            return sum(abs(a.value - b.value) for a, b in pairs)
        return sum(abs(a.probabilities[k] - b.probabilities[k]) for a, b in pairs for k in a.probabilities)

    before = apart(student_of(teacher, 1))
    student = distill(folder / task, train=texts, output_dir=tmp_path / "out", settings=FAST)
    assert apart(student) < 0.3 * before
    assert len(load(tmp_path / "out").encoder.blocks) == 1


def test_every_task_whose_loss_tells_logits_is_taught_here():
    telling = {name for name, kind in TASKS.items() if kind.logits_of and kind.Options}
    assert telling == ROWS.keys() | MORE_ROWS.keys()


@pytest.mark.parametrize("task", MORE_ROWS)
def test_a_student_of_any_task_comes_nearer_to_its_teacher_without_any_label(task, tmp_path):
    rows, out = MORE_ROWS[task], tmp_path / "out"
    teacher = teacher_of(task, rows, tmp_path)

    def apart(student):
        windows = [window for row in bare for window in student.task.encode(row)]
        batch = student.task.collate([student.task.unlabelled(window) for window in windows], 0, 0, 0.0)
        asked = taught(student.eval(), teacher, temperature=1.0, weight=1.0, label_weight=0.0)
        return asked(*batch).mean().item()

    bare = [TASKS[task].unanswered(row) for row in rows]
    before = apart(student_of(teacher, 1))
    student = distill(tmp_path / "teacher", train=bare, output_dir=out, settings=FAST)
    assert apart(student) < 0.3 * before
    assert type(load(out).task) is TASKS[task] and len(load(out).encoder.blocks) == 1
    heard = {**FAST, "train.max_steps": 2, "train.r_drop_alpha": float(TASKS[task].logits_of == "classes")}
    distill(tmp_path / "teacher", train=rows, output_dir=tmp_path / "labels", settings=heard)


def test_labels_that_the_teacher_does_not_know_are_refused(tmp_path):
    rows = MORE_ROWS["intent_slots"]
    teacher_of("intent_slots", rows, tmp_path)
    new = IntentExample("the bird", ((0, 3), (4, 8)), ("O", "O"), "new")
    with pytest.raises(InputError, match="example 3: intent 'new' is new to the model, which knows ask, say"):
        distill(tmp_path / "teacher", train=[*rows, new], output_dir=tmp_path / "out", settings=FAST)


def test_answers_that_stand_nowhere_are_told(tmp_path, capsys):
    rows = MORE_ROWS["question_answering"]
    teacher_of("question_answering", rows, tmp_path)
    lost = replace(rows[0], answers=(GoldAnswer("yes", None),))
    fast = {**FAST, "train.max_steps": 1}
    distill(tmp_path / "teacher", train=[*rows, lost], output_dir=tmp_path / "out", settings=fast)
    assert "1 of 3 questions have answers that do not stand in their passage" in capsys.readouterr().err


def teacher_of(task, rows, folder):
    """Return a teacher of two layers that has learnt nothing and says something else of every row."""
    known = load(tiny_runs.make_encoder(folder / "enc"))
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = replace(known.encoder.config, num_hidden_layers=2, **still)
    options = {"template": "{text} [MASK]"} if task == "cloze" else {}
    teacher = Model(Encoder(config), TASKS[task].build(known.task.tokenizer, config, rows, options))
    for module in (teacher.task, teacher.encoder.blocks[0]):
        for weight in module.parameters():
            weight.data *= 10 if weight.ndim == 2 else 1
    teacher.save(folder / "teacher")
    return load(folder / "teacher")


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_student_weighs_classes_as_its_teacher_did_where_labels_are_heard(
    share, folder, tmp_path, monkeypatch
):
    runs = []
    monkeypatch.setattr("minibert.further.lessons.Run", lambda *given: runs.append(Run(*given)) or runs[0])
    teacher = load(folder / "classification")
    teacher.task.options = replace(teacher.task.options, class_weights="balanced")
    teacher.save(tmp_path / "teacher")
    rows = [row for row in ROWS["classification"] if row.label == "animal"][:3] + ROWS["classification"][-1:]
    settings = {**FAST, "train.max_steps": 1, "distill.label_weight": share}
    distill(tmp_path / "teacher", train=rows, output_dir=tmp_path / "out", settings=settings)
    wanted = [4 / 6, 4 / 2] if share else [1, 1]
    assert runs[0].model.task.weights_C.tolist() == pytest.approx(wanted)


def test_a_student_may_be_asked_twice(folder, tmp_path):
    settings = {**FAST, "train.max_steps": 1, "train.r_drop_alpha": 1.0}
    rows = ROWS["classification"]
    assert distill(folder / "classification", train=rows, output_dir=tmp_path / "out", settings=settings)


def test_a_teacher_that_is_an_adapter_teaches_with_it(folder, tmp_path):
    rows = ROWS["classification"]
    settings = {**FAST, "train.max_steps": 20, "train.learning_rate": 1e-2, "adapt.adapter": "lora"}
    settings = {key: value for key, value in settings.items() if not key.startswith("distill")}
    teacher = finetune(folder / "classification", task="classification", train=rows,
                       output_dir=tmp_path / "lora", settings=settings)  # fmt: skip
    student = student_of(merged(teacher), 1)
    block, own = teacher.encoder.blocks[1].state_dict(), student.encoder.blocks[0].state_dict()
    changed = [name for name in own if not torch.equal(own[name], block.get(name, own[name] + 1))]
    assert changed
    distill(
        tmp_path / "lora", train=rows, output_dir=tmp_path / "out", settings={**FAST, "train.max_steps": 1}
    )
    assert not (tmp_path / "out" / "adapter.json").exists()


def test_from_files_to_a_student_by_the_command_line(folder, tmp_path, capsys):
    data = tiny_runs.write_table(tmp_path / "train.csv", rows=16)
    (tmp_path / "more.txt").write_text("\n".join(WORDS), "utf-8")
    common = ["distill", "--teacher", folder / "classification", "--layers", 1, "--max-steps", 2, "--fp32",
              "--no-progress", "--validation-file", data]  # fmt: skip
    assert run(*common, "--train-file", data, "--output-dir", tmp_path / "a") == 0
    result = last_line(capsys.readouterr().out)
    assert (result["teacher"]["layers"], result["student"]["layers"]) == (2, 1)
    assert result["student"]["weights"] < result["teacher"]["weights"]
    assert "accuracy" in result["student"]
    assert (
        run(*common, "--train-file", data, "--file", tmp_path / "more.txt", "--output-dir", tmp_path / "b")
        == 0
    )
    assert "rows without a label: the teacher alone is heard" in capsys.readouterr().err
    assert run(*common, "--output-dir", tmp_path / "c") == 2
    assert "nothing to learn from" in capsys.readouterr().err


def test_other_options_are_another_run(folder, tmp_path):
    given = {"train": ROWS["classification"], "output_dir": tmp_path / "out"}
    few = {**FAST, "train.max_steps": 3}
    first = distill(folder / "classification", **given, settings=few)
    settings = {**few, "distill.temperature": 9.0}
    with pytest.raises(InputError, match="temperature was 2"):
        distill(folder / "classification", **given, settings=settings, resume=True)
    both = {"resume": True, "overwrite_output_dir": True}
    again = distill(folder / "classification", **given, settings=settings, **both)
    assert not torch.equal(*(model.encoder.embeddings.token.weight for model in (first, again)))
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert told["settings"]["distill"]["temperature"] == 9.0


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distill.layers": 2}, "layers 2: the teacher has 2"),
        ({"distill.temperature": 0.0}, "temperature 0.0 must be above 0"),
        ({"distill.label_weight": 1.5}, "label_weight 1.5"),
        ({"task.pooling": "mean"}, "task.pooling: a part of the teacher has its head"),
    ],
)
def test_unusable_options_leave_nothing_behind(folder, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        distill(folder / "classification", train=ROWS["classification"], output_dir=tmp_path / "out",
                settings={**FAST, **settings})  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_student_is_calibrated_on_validation_data_or_not_at_all(folder, tmp_path):
    given = {
        "train": ROWS["classification"],
        "model": folder / "classification",
        "output_dir": tmp_path / "out",
    }
    settings = {**{name: FAST[name] for name in FAST if name != "distill.layers"}, "task.calibrate": True}
    with pytest.raises(InputError, match="calibrate needs validation data"):
        distill(folder / "classification", **given, settings=settings)
    assert not (tmp_path / "out").exists()
    distill(folder / "classification", **given, settings=settings, validation=ROWS["classification"])
    assert "best_temperature" in (tmp_path / "out" / "log.jsonl").read_text("utf-8")


def test_a_student_is_not_chosen_on_rows_that_say_nothing(folder, tmp_path):
    with pytest.raises(InputError, match="validation example 1 does not say what is right"):
        distill(folder / "classification", train=ROWS["classification"], output_dir=tmp_path / "out",
                validation=["the cat sees"], settings=FAST)  # fmt: skip
    assert not (tmp_path / "out").exists()
