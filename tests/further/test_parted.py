"""An adapter for each part: nothing is forgotten, texts find their part, and what is left opens anywhere."""

import json
import shutil

import pytest
import tiny_runs
import torch
from tiny_runs import last_line

import minibert as mb
from minibert.adapt.merging import merged
from minibert.adapt.parted import PARTS, PartedModel
from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.further.growing import grown
from minibert.further.learn_on import learn_on
from minibert.further.update import update
from minibert.interop.graphs import export
from minibert.interop.opening import load
from minibert.interop.peft_export import save_peft

SETTINGS = {
    "learn.method": "adapters",
    "train.precision": "fp32",
    "data.progress": False,
    "train.max_steps": 60,
    "train.learning_rate": 1e-2,
}


def rows(*pairs):
    return [
        TextExample(f"{article} {noun} {verb}", label=label)
        for article in ("the", "a")
        for noun, label in pairs
        for verb in tiny_runs.VERBS
    ]


PARTS_OF = [
    rows(("cat", "animal"), ("stone", "thing")),
    rows(("river", "water"), ("tree", "plant")),
    rows(("cat", "thing"), ("tree", "animal")),
]


def collated(model, example):
    return model.task.collate(model.task.encode(example), 0, 0, 0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parted")
    base = tiny_runs.make_encoder(folder / "enc")
    two = PARTS_OF[:2]
    model, found = learn_on(base, train=two, validation=two, output_dir=folder / "out", settings=SETTINGS)
    return base, folder / "out", model, found


def test_what_was_learnt_stays_although_classes_come_later(folders):
    _, _, _, found = folders
    assert found.matrix[1][0] > 0.9
    assert found.matrix[2][1] > 0.9
    assert found.forgetting < 0.05


def test_a_text_is_answered_by_the_adapter_of_its_part(folders):
    _, output, model, _ = folders
    texts = ["the cat sees", "a river runs", "a stone sleeps", "the tree sees"]
    answers = model.predict(texts)
    assert [answer.label for answer in answers] == ["animal", "water", "thing", "plant"]
    for text, answer, part in zip(texts, answers, ("part-1", "part-2", "part-1", "part-2"), strict=True):
        alone = load(output / part).predict([text])[0]
        assert answer.label == alone.label
        own = {name: share for name, share in answer.probabilities.items() if name in alone.probabilities}
        assert own == pytest.approx(alone.probabilities, abs=1e-6)
        assert sum(answer.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("adapter", ["bitfit", "bottleneck", "prompt", "prefix"])
def test_whatever_an_adapter_trains_the_plain_encoder_stays(adapter, folders, tmp_path):
    base, *_ = folders
    own = {"adapt.adapter": adapter, "train.max_steps": 3}
    if adapter == "bottleneck":
        own["adapt.bottleneck_layout"] = "houlsby"
    given = {"train": PARTS_OF[:2], "validation": PARTS_OF[:2], "settings": {**SETTINGS, **own}}
    made, _ = learn_on(base, **given, output_dir=tmp_path / "out")
    before = load(base).encoder.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in made.encoder.state_dict().items())
    again = load(tmp_path / "out")
    examples = [row for part in PARTS_OF[:2] for row in part]
    assert again.predict(examples) == made.predict(examples)


def test_the_encoder_is_that_of_the_base_and_not_saved_again(folders):
    base, output, model, _ = folders
    before = load(base).encoder.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in model.encoder.state_dict().items())
    assert (output / "model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size


def test_it_answers_the_same_after_save_and_load_elsewhere(folders, tmp_path):
    base, _, model, _ = folders
    model.save(tmp_path / "saved")
    shutil.copytree(base, tmp_path / "moved")
    again = mb.load(tmp_path / "saved", base=tmp_path / "moved")
    assert isinstance(again, PartedModel)
    examples = [row for part in PARTS_OF[:2] for row in part]
    assert again.predict(examples) == model.predict(examples)
    assert again.evaluate(examples)["accuracy"] == model.evaluate(examples)["accuracy"]


def test_a_class_that_comes_again_in_another_part_has_another_adapter(folders, tmp_path):
    base, *_ = folders
    parts = [PARTS_OF[0], PARTS_OF[2]]
    model, _ = learn_on(base, train=parts, validation=parts, output_dir=tmp_path / "out", settings=SETTINGS)
    assert model.task.labels == ("animal", "thing")
    assert model.router.task.labels == ("1/animal", "1/thing", "2/thing", "2/animal")


def test_predict_and_evaluate_open_it_on_the_command_line(folders, tmp_path, capsys):
    _, output, *_ = folders
    assert main(["predict", "--model", str(output), "a river runs"]) == 0
    assert last_line(capsys.readouterr().out)["label"] == "water"
    table = tmp_path / "asked.csv"
    table.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in PARTS_OF[1]), "utf-8")
    assert main(["evaluate", "--model", str(output), "--file", str(table), "--json"]) == 0
    assert last_line(capsys.readouterr().out)["accuracy"] > 0.9


def test_learning_by_adapters_takes_their_flags(folders, tmp_path):
    base, *_ = folders
    files = []
    for number, part in enumerate(PARTS_OF[:2]):
        files.append(str(tmp_path / f"{number}.csv"))
        with open(files[-1], "w", encoding="utf-8") as table:
            table.write("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in part))
    words = [
        "learn", "--model", str(base), "--method", "adapters", "--adapter", "bottleneck", "--bottleneck-size",
        "4", "--train-file", *files, "--validation-file", *files, "--output-dir", str(tmp_path / "out"),
        "--max-steps", "2", "--fp32", "--no-progress",
    ]  # fmt: skip
    assert main(words) == 0
    told = json.loads((tmp_path / "out" / "adapter.json").read_text("utf-8"))["options"]
    assert (told["adapter"], told["bottleneck_size"]) == ("bottleneck", 4)


@pytest.mark.parametrize(
    "use",
    [
        lambda model, folder: merged(model),
        lambda model, folder: export(model, folder / "onnx"),
        lambda model, folder: save_peft(model, folder / "peft"),
        lambda model, folder: grown(model, [TextExample("x", label="new")]),
        lambda model, folder: model.evaluate_loss([collated(model, PARTS_OF[0][0])]),
    ],
)
def test_what_needs_one_head_says_which_folder_has_one(use, folders, tmp_path):
    with pytest.raises(InputError, match="such as part-1"):
        use(folders[2], tmp_path)


def test_it_is_not_trained_further(folders, tmp_path):
    with pytest.raises(InputError, match="such as part-1"):
        update(folders[1], train=PARTS_OF[0], kept=PARTS_OF[1], output_dir=tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learn.method": "replay", "adapt.adapter": "lora"}, "adapter lora goes with method adapters"),
        ({"adapt.lora_rankk": 4}, "did you mean 'lora_rank'"),
        ({"adapt.adapter": "none"}, "adapter is none; leave one of them out"),
        ({"adapt.cache_features": True, "train.freeze": "encoder"}, "cache_features is for finetune"),
        ({"task.calibrate": True}, "calibrate is for finetune"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, message, folders, tmp_path):
    with pytest.raises(InputError, match=message):
        learn_on(folders[0], train=PARTS_OF[:1], validation=PARTS_OF[:1], output_dir=tmp_path / "out",
                 settings={**SETTINGS, **change})  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_part_of_one_class_is_told_before_anything_is_learnt(folders, tmp_path):
    one = [row for row in PARTS_OF[1] if row.label == "water"]
    with pytest.raises(InputError, match=r"part 2 has the classes \['water'\]"):
        learn_on(folders[0], train=[PARTS_OF[0], one], validation=[PARTS_OF[0], one],
                 output_dir=tmp_path / "out", settings=SETTINGS)  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_every_part_computes_in_the_precision_of_the_whole(folders, tmp_path):
    base, output, *_ = folders
    learnt, _ = learn_on(base, train=PARTS_OF[:2], validation=PARTS_OF[:2], output_dir=tmp_path / "out",
                         settings={**SETTINGS, "train.precision": "bf16", "train.max_steps": 2})  # fmt: skip
    opened = load(output)
    opened.encoder.dtype = torch.bfloat16
    opened.predict(["the cat sees"])
    for model in (learnt, opened):
        assert {part.encoder.dtype for part in [model.router, *model.models]} == {torch.bfloat16}


def test_a_classifier_has_no_adapter_to_begin_with(folders, tmp_path):
    with pytest.raises(InputError, match="the model is a classifier, whose classes have no adapter"):
        learn_on(folders[1] / "part-1", train=PARTS_OF[:1], validation=PARTS_OF[:1],
                 output_dir=tmp_path / "out", settings=SETTINGS)  # fmt: skip


STRANGE = {"labels": ["animal", "1/thing", "2/plant", "2/water"]}


@pytest.mark.parametrize(
    "damage", [{}, {"router": {}, "parts": []}, {"router": [], "parts": {}}, {"router": STRANGE}]
)
def test_damaged_parts_are_told(damage, folders, tmp_path):
    base, output, *_ = folders
    if damage.get("router") is STRANGE:
        damage = json.loads((output / PARTS).read_text("utf-8"))
        damage["router"] |= STRANGE
    shutil.copytree(output, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "out" / PARTS).write_text(json.dumps(damage), "utf-8")
    with pytest.raises(InputError, match=r"parts\.json: damaged"):
        load(tmp_path / "out", base=base)


def test_a_folder_of_parts_is_no_encoder_and_says_what_to_take(folders, tmp_path, capsys):
    _, output, _, _ = folders
    words = ["--model", str(output)]
    tiny_runs.write_table(tmp_path / "rows.csv")
    train = ["--train-file", str(tmp_path / "rows.csv"), "--output-dir", str(tmp_path / "on")]
    for command in (["embed", "the cat"], ["finetune", "--task", "classification", *train]):
        assert main([*command, *words]) == 2
        assert "take the folder of one part" in capsys.readouterr().err
