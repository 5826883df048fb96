"""The commands embed and export: vectors in order, graphs that were compared, mistakes that are named."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from tiny_runs import last_line

import minibert as mb
from minibert.cli import main
from minibert.data.examples import NumberExample
from minibert.embedding import chunks
from minibert.interop.graphs import PACKAGES, open_program


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with an encoder and a classifier."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_runs.make_encoder(folder / "enc")
    train = tiny_runs.write_table(folder / "train.csv")
    settings = {"train.max_steps": 1, "train.precision": "fp32", "data.progress": False}
    mb.finetune(
        folder / "enc", task="classification", train=train, output_dir=folder / "clf", settings=settings
    )
    return folder


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused; return its message."""

    def run_it(*arguments: object) -> str:
        assert run(*arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and "Traceback" not in err
        return err.strip().splitlines()[-1]

    return run_it


FP32 = ("--precision", "fp32", "--device", "cpu")


def test_texts_typed_and_piped_become_one_object_a_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\n\nthree\n"))
    assert run("embed", "--model", folder / "enc", "one", "-", *FP32) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["one", "two", "", "three"]
    wanted = mb.load_encoder(folder / "enc").embed(["one", "two", "", "three"], progress=False)
    np.testing.assert_allclose([row["embedding"] for row in rows], wanted, atol=2e-6)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_every_line_of_a_file_is_a_row_of_the_npy_in_order(folder, tmp_path, capsys, monkeypatch, suffix):
    monkeypatch.setattr(chunks, "MOST_TEXTS", 3)
    texts = [tiny_runs.sentence(number) * (1 + number % 3) for number in range(11)]
    texts = texts if suffix == ".csv" else [*texts, "", "x"]
    lines = [json.dumps({"text": text, "label": "a"}) if suffix == ".jsonl" else text for text in texts]
    head = ["kind,text"] if suffix == ".csv" else []
    lines = [f'b,"{line}"' if suffix == ".csv" else line for line in lines]
    (tmp_path / f"in{suffix}").write_text("\n".join([*head, *lines, ""]), "utf-8")
    out = tmp_path / "v.npy"
    assert run("embed", "--model", folder / "clf", "--file", tmp_path / f"in{suffix}", "--output", out,
               "--pooling", "first", "--no-normalize", "--batch-tokens", 40, *FP32) == 0  # fmt: skip
    assert last_line(capsys.readouterr().out) == {"output": str(out), "rows": len(texts), "columns": 32}
    encoder = mb.load_encoder(folder / "clf")
    wanted = encoder.embed(texts, "first", normalize=False, progress=False)
    np.testing.assert_allclose(np.load(out), wanted, atol=1e-5)


def test_mistakes_of_embed_are_named_and_nothing_is_lost(folder, tmp_path, refused):
    model = ("embed", "--model", folder / "enc")
    assert "nothing to embed" in refused(*model)
    assert "ends in .npy" in refused(*model, "x", "--output", tmp_path / "v.txt")
    assert "there is no folder" in refused(*model, "x", "--output", tmp_path / "gone" / "v.npy")
    (tmp_path / "v.npy").write_text("mine", "utf-8")
    assert "is there already" in refused(*model, "x", "--output", tmp_path / "v.npy")
    assert "no such file" in refused(*model, "--file", tmp_path / "gone.txt", "--output", tmp_path / "w.npy")
    (tmp_path / "in.csv").write_text("kind,words\na,b\n", "utf-8")
    assert "no column 'text'" in refused(*model, "--file", tmp_path / "in.csv")
    told = refused(*model, "--file", tmp_path / "in.csv", "--text-column", "word")
    assert "line 2: no text in 'word'; the row has kind, words" in told
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": 3}\n', "utf-8")
    bad = (*model, "--file", tmp_path / "in.jsonl", "--output", tmp_path / "v.npy", "--overwrite")
    assert "line 2: no text in 'text'" in refused(*bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "in.jsonl", "v.npy"]
    assert (tmp_path / "v.npy").read_text("utf-8") == "mine"
    assert run(*model, "x", "--output", tmp_path / "v.npy", "--overwrite") == 0
    assert np.load(tmp_path / "v.npy").shape == (1, 32)


def test_a_classifier_is_exported_and_its_folder_says_what_is_in_it(folder, tmp_path, capsys):
    out = tmp_path / "graph"
    assert run("export", "--model", folder / "clf", "--format", "torch", "--output", out) == 0
    result = last_line(capsys.readouterr().out)
    assert result["outputs"] == ["logits"] and result["difference"] < 1e-5
    assert {path.name for path in out.iterdir()} >= {
        "model.pt2",
        "config.json",
        "graph.json",
        "tokenizer.json",
    }
    assert json.loads((out / "graph.json").read_text("utf-8"))["labels"] == ["animal", "thing"]
    assert "logits" in open_program(out / "model.pt2")({
        name: np.ones((1, 3), np.int64) for name in result["inputs"]
    })  # fmt: skip
    assert run("export", "--model", folder / "clf", "--outputs", "embeddings", "--pooling", "first",
               "--format", "torch", "--output-dir", out, "--overwrite-output-dir") == 0  # fmt: skip
    assert last_line(capsys.readouterr().out)["outputs"] == ["last_hidden_state", "embeddings"]
    assert json.loads((out / "graph.json").read_text("utf-8"))["pooling"] == "first"


def test_what_was_trained_to_embed_exports_its_embeddings(folder, tmp_path, capsys):
    rows = [NumberExample("the cat", "the dog", 4.0), NumberExample("the cat", "a road", 1.0)]
    settings = {"train.max_steps": 1, "train.precision": "fp32", "data.progress": False}
    model = mb.finetune(
        folder / "enc", task="similarity", train=rows, output_dir=tmp_path / "alike", settings=settings
    )
    for form in ("torch", "hf"):
        assert run("export", "--model", tmp_path / "alike", "--format", form,
                   "--output-dir", tmp_path / form) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out.splitlines()[-2])
    assert told["outputs"] == ["last_hidden_state", "embeddings"]
    again = mb.load_encoder(tmp_path / "hf")
    first, second = (again.embed([text], progress=False)[0] for text in ("the cat", "the dog"))
    assert float(first @ second) == pytest.approx(model.predict(rows[:1])[0].similarity, abs=1e-5)


def test_an_onnx_graph_is_the_default(folder, tmp_path, capsys):
    for package in PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed")
    assert run("export", "--model", folder / "clf", "--output-dir", tmp_path / "o") == 0
    out = capsys.readouterr().out
    assert "model.onnx: input_ids, attention_mask, token_type_ids -> logits" in out
    assert last_line(out)["difference"] < 1e-4


def test_hf_writes_a_folder_of_theirs(folder, tmp_path, capsys):
    assert run("export", "--model", folder / "enc", "--format", "hf", "--output-dir", tmp_path / "hf") == 0
    assert mb.load(tmp_path / "hf").task.name == "masked_lm"
    assert run("export", "--model", folder / "enc", "--format", "hf", "--outputs", "embeddings",
               "--output-dir", tmp_path / "st") == 0  # fmt: skip
    assert (tmp_path / "st" / "modules.json").is_file()
    capsys.readouterr()
    assert run("export", "--model", tmp_path / "st", "--format", "hf", "--output-dir", tmp_path / "st2") == 0
    assert (tmp_path / "st2" / "modules.json").is_file()  # a folder without a head stays one


def test_mistakes_of_export_are_named_and_nothing_is_lost(folder, tmp_path, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("kept", "utf-8")
    model = ("export", "--model", folder / "clf", "--output-dir")
    assert "is not empty" in refused(*model, tmp_path / "mine")
    assert "was not made by minibert" in refused(*model, tmp_path / "mine", "--overwrite-output-dir")
    assert "--format onnx" in refused(*model, tmp_path / "o", "--format", "hf", "--quantize", "int8")
    assert "int8 is for ONNX" in refused(*model, tmp_path / "o", "--format", "torch", "--quantize", "int8")
    assert "the head has its own" in refused(*model, tmp_path / "o", "--pooling", "mean")
    assert "no such folder" in refused("export", "--model", tmp_path / "gone", "--output-dir", tmp_path / "o")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "x.txt"]
