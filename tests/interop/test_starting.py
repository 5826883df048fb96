"""What was fine-tuned from somebody's folder is handed back without a flag, and older folders are found."""

import json
import shutil

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from foreign_models import make_model, odd_config, save_model, write_vocabulary  # noqa: E402

import minibert as mb  # noqa: E402
from minibert.data.examples import TextExample  # noqa: E402
from minibert.data.tagged import from_words  # noqa: E402

TEXTS = [TextExample("w7 w9 w8", label="a"), TextExample("w11 w12", label="b")] * 4
TAGGED = [from_words(["w7", "w9"], ["B-X", "O"]), from_words(["w11"], ["O"])] * 4
FAST = {"train.max_steps": 2, "data.progress": False, "train.precision": "fp32"}


def start(tmp_path, family):
    narrow = {"embedding_size": 5} if family == "electra" else {}
    model = make_model(odd_config(family, 0, **narrow), "Model")
    return write_vocabulary(save_model(model, tmp_path / family))


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "modernbert"])
@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_a_model_of_any_family_is_handed_back_as_it_was_fine_tuned(tmp_path, family, task):
    rows = TEXTS if task == "classification" else TAGGED
    model = mb.finetune(
        start(tmp_path, family), task=task, train=rows, output_dir=tmp_path / "run", settings=FAST
    )
    mb.save_pretrained(model, tmp_path / "back")
    kind = {"classification": "SequenceClassification", "tagging": "TokenClassification"}[task]
    theirs = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(tmp_path / "back").eval()
    ids = model.task.encode(rows[0].text)[0].tokens.ids
    with torch.no_grad():
        logits = theirs(torch.tensor(ids)[None].long()).logits[0].softmax(-1)
    if task == "classification":
        found = list(model.predict([rows[0].text])[0].probabilities.values())
        assert logits.tolist() == pytest.approx(found, abs=1e-5)
    else:
        found = model.predict([rows[0]])[0].probabilities
        assert logits.max(-1).values[1:3].tolist() == pytest.approx(found, abs=1e-5)
    assert theirs.config.model_type == family


def test_a_head_that_is_chosen_stays_as_it_was_chosen(tmp_path):
    settings = {**FAST, "task.projection": "tanh"}
    model = mb.finetune(
        start(tmp_path, "distilbert"), task="classification", train=TEXTS, output_dir=tmp_path / "run",
        settings=settings,
    )  # fmt: skip
    assert model.task.options.projection == "tanh"


def test_an_encoder_one_folder_deeper_is_fine_tuned_too(tmp_path):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    inner = start(tmp_path, "bert")
    folder = tmp_path / "older"
    folder.mkdir()
    shutil.move(inner, folder / "0_Transformer")
    step = {
        "idx": 0,
        "name": "0",
        "path": "0_Transformer",
        "type": "sentence_transformers.models.Transformer",
    }
    (folder / "modules.json").write_text(json.dumps([step]), "utf-8")
    for start_at in (folder, str(folder)):
        model = mb.finetune(start_at, task="classification", train=TEXTS, output_dir=tmp_path / "run",
                            settings=FAST, overwrite_output_dir=True)  # fmt: skip
        assert set(model.task.labels) == {"a", "b"}
