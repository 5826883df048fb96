"""Whole models of `peft`: adapter and head over a base, the same logits here, and what cannot be opened."""

import json
import shutil

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
peft = pytest.importorskip("peft", reason="peft is not installed")
import tiny_runs  # noqa: E402
from check_task import plain  # noqa: E402
from foreign_models import CLASSES, make_model, odd_config, save_model, write_vocabulary  # noqa: E402

import minibert as mb  # noqa: E402
from minibert.cli import main  # noqa: E402
from minibert.data.examples import MultiLabelExample  # noqa: E402
from minibert.errors import InputError  # noqa: E402
from minibert.interop.adapted import is_adapter  # noqa: E402
from minibert.interop.peft_export import save_peft  # noqa: E402
from minibert.packed import Packed  # noqa: E402

IDS = torch.tensor([[7, 12, 9, 30, 8], [8, 6, 11, 20, 5]])
HEADS = {  # what peft keeps whole: the layers above the encoder that a run begins anew
    "bert": ["classifier"],
    "roberta": ["classifier"],
    "distilbert": ["pre_classifier", "classifier"],
    "electra": ["classifier"],
    "modernbert": ["head", "classifier"],
}
KINDS = {
    "SequenceClassification": "SEQ_CLS",
    "TokenClassification": "TOKEN_CLS",
    "QuestionAnswering": "QUESTION_ANS",
}


def theirs(folder, family, kind="SequenceClassification", *, labels=3, base=(), **options):
    """Save a base without a head and an adapter with one on it, all weights drawn; return their model.

    base  settings of the base's config.json
    """
    drawn = (odd_config(family, seed) for seed in range(20))
    config = next(config for config in drawn if config.hidden_size > 8)
    place = write_vocabulary(save_model(make_model(config, "Model"), folder / "base"))
    values = json.loads((place / "config.json").read_text("utf-8"))
    (place / "config.json").write_text(json.dumps({**values, **dict(base)}), "utf-8")
    class_name = f"{CLASSES[family]}For{kind}"
    count = {} if kind == "QuestionAnswering" else {"num_labels": labels}
    model = getattr(transformers, class_name).from_pretrained(place, **count)
    heads = HEADS[family] if kind == "SequenceClassification" or family == "modernbert" else []
    if kind != "SequenceClassification":
        heads = [*heads[:-1], "qa_outputs" if hasattr(model, "qa_outputs") else "classifier"]
    given = {"r": 3, "lora_alpha": 5, "target_modules": "all-linear", "task_type": KINDS[kind]}
    given |= {"modules_to_save": heads, "exclude_modules": ["pooler.dense"]}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**{**given, **options})).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(folder / "adapter")
    return adapted


def logits_of(model, kind):
    """Return what ours says of each text, token by token where it is asked so."""
    batch = Packed.of(IDS.tolist())
    every = torch.arange(IDS.numel())
    with torch.no_grad():
        if kind == "TokenClassification":
            return model.task.emissions(model.encoder, batch, every).unflatten(0, IDS.shape)
        if kind == "QuestionAnswering":
            return model.task.logits(model.encoder, batch, every).unflatten(0, IDS.shape)
        return model.task.logits(model.encoder, batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", HEADS)
def test_their_adapter_with_its_head_gives_their_logits_here(tmp_path, family, kind):
    model = theirs(tmp_path, family, kind)
    with torch.no_grad():
        said = model(input_ids=IDS)
    both = ("start_logits", "end_logits")
    wanted = torch.stack([said[name] for name in both], -1) if kind == "QuestionAnswering" else said.logits
    ours = mb.load(tmp_path / "adapter")
    torch.testing.assert_close(logits_of(ours, kind), wanted, atol=1e-5, rtol=0)

    ours.save(tmp_path / "ours")  # an adapter of ours from then on
    assert is_adapter(tmp_path / "ours")
    again = mb.load(tmp_path / "ours")
    assert torch.equal(logits_of(again, kind), logits_of(ours, kind))
    mb.save_pretrained(ours, tmp_path / "merged")
    merged = logits_of(mb.load(tmp_path / "merged"), kind)
    torch.testing.assert_close(merged, wanted, atol=1e-5, rtol=0)


def test_labels_are_the_bases_where_they_fit_and_numbered_where_not(tmp_path):
    names = {"id2label": {"0": "good", "1": "bad"}, "label2id": {"good": 0, "bad": 1}}
    theirs(tmp_path / "two", "bert", labels=2, base=names)
    assert mb.load(tmp_path / "two/adapter").task.labels == ("good", "bad")
    theirs(tmp_path / "three", "bert", labels=3, base=names)
    answer = mb.load(tmp_path / "three/adapter").predict(["w7 w12"])[0]
    assert answer.label in answer.probabilities.keys() == {"LABEL_0", "LABEL_1", "LABEL_2"}
    theirs(tmp_path / "number", "bert", labels=1)
    assert mb.load(tmp_path / "number/adapter").task.name == "regression"


def test_what_goes_out_for_peft_comes_back_with_its_head(tmp_path, capsys):
    base = write_vocabulary(save_model(make_model(odd_config("bert", 2), "Model"), tmp_path / "base"))
    rows = tiny_runs.write_table(tmp_path / "train.csv")
    settings = {"train.max_steps": 3, "train.precision": "fp32", "data.progress": False}
    settings |= {"adapt.adapter": "lora", "train.learning_rate": 1e-2, "task.max_length": 20}
    mb.finetune(base, task="classification", train=rows, output_dir=tmp_path / "run", settings=settings)
    ours, out = mb.load(tmp_path / "run"), tmp_path / "peft"
    assert (
        main(["export", "--model", str(tmp_path / "run"), "--format", "peft", "--output-dir", str(out)]) == 0
    )
    again = mb.load(out)
    assert again.task.labels == ("animal", "thing")
    assert again.predict(["w7 w12"]) == pytest.approx(ours.predict(["w7 w12"]), abs=1e-5)
    (out / "minibert_task.json").unlink()
    again = mb.load(out)
    assert again.task.labels == ("LABEL_0", "LABEL_1")  # their own files have no place for the names
    torch.testing.assert_close(logits_of(again, ""), logits_of(ours, ""), atol=1e-5, rtol=0)
    moved = base.rename(tmp_path / "moved")
    assert torch.equal(logits_of(mb.load(out, base=moved), ""), logits_of(again, ""))
    capsys.readouterr()
    assert main(["predict", "--model", str(out), "--base", str(moved), "w7 w12"]) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["label"] in again.task.labels


@pytest.mark.parametrize("task", ["classification", "multi_label", "question_answering"])
def test_a_task_comes_back_as_it_went_out_whatever_the_base_says(tmp_path, task):
    """The base's labels in another order, several labels for a text, a question without an answer."""
    named = {"id2label": {"0": "thing", "1": "animal"}, "label2id": {"thing": 0, "animal": 1}}
    model = make_model(odd_config("bert", 1, **named), "Model")
    base = write_vocabulary(save_model(model, tmp_path / "base"))
    texts, names = ["w7 w12", "w9 w8 w30", "w11"], ("animal", "thing")
    rows = {
        "classification": [mb.TextExample(text, label=name) for text in texts for name in names],
        "multi_label": [MultiLabelExample(text, labels=names[:n]) for n, text in enumerate(texts)],
        "question_answering": [
            mb.QuestionExample("w7", text, (mb.GoldAnswer(text[:2], 0),) if number else ())
            for number, text in enumerate(texts)
        ],
    }[task]
    settings = {"train.max_steps": 2, "train.precision": "fp32", "data.progress": False}
    settings |= {"adapt.adapter": "lora", "task.max_length": 20}
    ours = mb.finetune(base, task=task, train=rows, output_dir=tmp_path / "run", settings=settings)
    save_peft(ours, tmp_path / "peft")
    again = mb.load(tmp_path / "peft")
    assert again.task.settings() == ours.task.settings()
    for mine, theirs in zip(ours.predict(rows), again.predict(rows), strict=True):
        assert (mine.text if task == "question_answering" else plain(mine)) == (
            theirs.text if task == "question_answering" else plain(theirs)
        )


def test_every_command_takes_such_a_folder_with_its_head(tmp_path, capsys):
    theirs(tmp_path, "bert", labels=2)
    adapter, rows = tmp_path / "adapter", tmp_path / "rows.csv"
    rows.write_text("text,label\nw7 w12,LABEL_0\nw9,LABEL_1\nw30 w8,LABEL_0\nw11 w5,LABEL_1\n", "utf-8")
    kept = tmp_path / "kept.csv"
    kept.write_text("text,label\nw40 w12,LABEL_0\nw41 w9,LABEL_1\n", "utf-8")
    fast = ["--max-steps", 1, "--fp32", "--no-progress"]
    for words in (
        ["export", "--model", adapter, "--format", "torch", "--output-dir", tmp_path / "graph"],
        ["export", "--model", adapter, "--format", "hf", "--output-dir", tmp_path / "hf"],
        ["export", "--model", adapter, "--format", "minibert", "--output-dir", tmp_path / "merged"],
        ["export", "--model", adapter, "--format", "peft", "--output-dir", tmp_path / "again"],
        ["distill", "--teacher", adapter, "--train-file", rows, "--layers", 1, *fast,
         "--output-dir", tmp_path / "student"],
        ["update", "--model", adapter, "--train-file", rows, "--kept-file", kept, *fast,
         "--output-dir", tmp_path / "new"],
        ["explain", "--model", adapter, "w7 w12"],
        ["doctor", adapter],
    ):  # fmt: skip
        told = main([str(word) for word in words])
        assert told == 0 or (words[0] == "update" and told == 1), words  # 1: the old one is kept
    assert "logits" in json.loads((tmp_path / "graph/graph.json").read_text("utf-8"))["outputs"]
    wanted = mb.load(adapter).predict(["w7 w12", "w9"])
    for folder in ("hf", "merged", "again"):
        found = mb.load(tmp_path / folder).predict(["w7 w12", "w9"])
        assert [one.label for one in found] == [one.label for one in wanted]
    assert mb.load(tmp_path / "student").task.labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"task_type": None}, "task_type is None, which has no task here; load_encoder opens"),
        ({"task_type": "FEATURE_EXTRACTION"}, "task_type is 'FEATURE_EXTRACTION'"),
        ({"exclude_modules": None}, r"bert\.pooler\.dense\.lora_A.* is an update of the head"),
    ],
)
def test_heads_that_are_not_here_are_refused_and_the_encoder_still_opens(tmp_path, options, told):
    theirs(tmp_path, "bert", **options)
    with pytest.raises(InputError, match=told):
        mb.load(tmp_path / "adapter")
    assert mb.load_encoder(tmp_path / "adapter").embed(["w7 w12"]).shape[0] == 1


def test_a_head_that_was_not_kept_is_named(tmp_path):
    theirs(tmp_path, "modernbert", modules_to_save=["classifier"], target_modules=["Wqkv"])
    with pytest.raises(InputError, match=r"adapter: head\.dense\.weight, .* missing"):
        mb.load(tmp_path / "adapter")


def test_a_base_that_is_not_one_is_refused(tmp_path):
    theirs(tmp_path, "bert")
    adapter, own = tmp_path / "adapter", tiny_runs.make_encoder(tmp_path / "own")
    with pytest.raises(InputError, match="give the folder of its base, not an open model"):
        mb.load(adapter, base=mb.load(own))
    with pytest.raises(
        InputError, match=r"own is a model of minibert; its encoder is opened by load_encoder"
    ):
        mb.load(adapter, base=own)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(InputError, match=r"base .*base is not there; say where it is: mb\.load"):
        mb.load(adapter)
