"""The cells of learning on, on data made up here: groups share no class, small models are compared."""

import importlib
import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_runs
import torch

from minibert.interop.opening import load
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model


@pytest.fixture
def cells_learn(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    return importlib.import_module("cells_learn")


@pytest.fixture
def places(cells_learn, tmp_path):
    """Write data of both rows, small, and an encoder of four layers."""
    intents = [f"{noun} {verb}" for noun in tiny_runs.NOUNS for verb in tiny_runs.VERBS]
    rows = [json.dumps({"text": f"please {name} {n}", "label": name}) for name in intents for n in range(3)]
    rows.append(json.dumps({"text": "hm", "label": "oos"}))
    (tmp_path / "clinc150").mkdir()
    (tmp_path / "clinc150" / "train.jsonl.xz").write_bytes(lzma.compress("\n".join(rows).encode()))
    (tmp_path / "clinc150" / "test.jsonl").write_text("\n".join(rows), "utf-8")
    (tmp_path / "thucnews_titles").mkdir()
    for name in ("train", "test"):
        (tmp_path / "thucnews_titles" / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    (tmp_path / "sst2").mkdir()
    for name in ("train", "test"):
        lines = [
            json.dumps({"text": f"the {noun}", "label": str(n % 2)}) for n, noun in enumerate(tiny_runs.NOUNS)
        ]
        (tmp_path / "sst2" / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    known = load(tiny_runs.make_encoder(tmp_path / "one"))
    torch.manual_seed(0)
    deep = Model(Encoder(replace(known.encoder.config, num_hidden_layers=4)), known.task)
    deep.save(tmp_path / "enc")
    encoder, scratch = tmp_path / "enc", tmp_path / "scratch"
    return importlib.import_module("cells").Places(tmp_path, encoder, encoder, scratch)


def test_groups_share_no_class_and_leave_out_what_has_none(cells_learn, places):
    files = ("train.jsonl.xz", "test.jsonl")
    train, test = cells_learn.Groups("clinc150", files, 3, (2, 0), places.english, {}).read(places.data)
    classes = [{row.label for row in part} for part in train]
    assert [len(part) for part in classes] == [3] * 3
    assert len(set().union(*classes)) == 9
    assert [{row.label for row in part} for part in test] == classes
    assert [len(part) for part in train] == [6] * 3  # two rows of each class
    assert [len(part) for part in test] == [9] * 3  # and all
    assert "oos" not in set().union(*classes)


def test_every_cell_runs_and_says_what_its_row_measures(cells_learn, places, monkeypatch):
    monkeypatch.setattr(cells_learn, "CLASSES", {"clinc150": 2, "thucnews_titles": 2})
    for recipe in ("CLINC", "TITLES", "SST2", "LESSON"):
        short = {**getattr(cells_learn, recipe), "train.max_steps": 1, "train.precision": "fp32"}
        monkeypatch.setattr(cells_learn, recipe, short)
    seen = set()
    for cell in cells_learn.cells(places):
        scores = cell.run(0)
        smaller = cell.row == cells_learn.SST2_ROW
        assert next(iter(scores)) == ("accuracy" if smaller else "average_accuracy")
        assert ("speed" in scores) == (
            cell.contestant in ("student, distilled", "student, plain", "teacher, int8")
        )
        seen.add((cell.row, cell.contestant))
    assert len(seen) == 16
    assert len(load(places.scratch / "student").encoder.blocks) == 3
