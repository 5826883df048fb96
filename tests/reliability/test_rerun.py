"""`minibert rerun DIR`: the same numbers from run.json alone, also for a run that a clock had planned."""

import json

import pytest

from minibert.cli import main
from minibert.durable import sha256

COMMON = ("--no-progress", "--logging-steps", "2", "--seed", "5", "--learning-rate", "2e-3")


def finetuning(given, output, *more):
    train = given / "train.csv"
    return ("finetune", "--task", "classification", "--model", given / "enc", "--output-dir", output,
            "--train-file", train, "--validation-file", train, "--pooling", "mean",
            "--set", "train.warmup_ratio=0.2", *COMMON, *more)  # fmt: skip


def pretraining(given, output, *more):
    return ("pretrain", given / "corpus.txt", "--tokenizer", given / "enc", "--output-dir", output,
            "--size", "tiny", "--set", "data.tokens_per_batch=256", *COMMON, *more)  # fmt: skip


@pytest.mark.parametrize("begun", [finetuning, pretraining])
@pytest.mark.parametrize("length", [("--max-steps", "5", "--bf16"), ("--budget", "1s", "--fp32")])
def test_a_repeated_run_has_the_same_weights(given, forks, tmp_path, begun, length):
    first = forks.run(*begun(given, tmp_path / "first", *length))
    assert first["status"] == 0, first["told"]
    again = forks.run("rerun", tmp_path / "first", "--output-dir", tmp_path / "again")
    assert again["status"] == 0, again["told"]
    said = json.loads(again["told"].splitlines()[-1])
    assert said["same_weights"] and said["differing"] == []
    one, two = (tmp_path / name / "model.safetensors" for name in ("first", "again"))
    assert sha256(one) == sha256(two)
    records = [json.loads((tmp_path / name / "run.json").read_text("utf-8")) for name in ("first", "again")]
    assert records[0]["settings"] == records[1]["settings"]
    assert records[0]["plan"] == records[1]["plan"]
    assert records[0]["steps_done"] == records[1]["steps_done"]


def test_what_differs_is_told(given, forks, tmp_path):
    forks.run(*finetuning(given, tmp_path / "first", "--max-steps", 4, "--fp32"))
    record = json.loads((tmp_path / "first" / "run.json").read_text("utf-8"))
    record["settings"]["train"]["seed"] = 6
    record["versions"]["torch"] = "0.1"
    (tmp_path / "first" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    again = forks.run("rerun", tmp_path / "first", "--output-dir", tmp_path / "again")
    said = json.loads(again["told"].splitlines()[-1])
    assert not said["same_weights"]
    assert said["differing"] == ["versions"]
    assert "the weights differ, what differs: versions" in again["told"]


def test_a_run_that_went_on_with_other_settings_says_so(given, forks, tmp_path):
    on = ("--max-steps", 6, "--learning-rate", "1e-3", "--resume")
    for more in (("--max-steps", 4), on, (*on, "--save-total-limit", 5)):
        line = finetuning(given, tmp_path / "first", "--fp32", "--save-steps", 2, *more)
        assert forks.run(*line)["status"] == 0
    record = json.loads((tmp_path / "first" / "run.json").read_text("utf-8"))
    (part,) = record["taken_up"]
    assert part["step"] == 2  # the newest checkpoint
    assert "train.learning_rate was 0.002 and is 0.001" in part["changes"]
    again = forks.run("rerun", tmp_path / "first", "--output-dir", tmp_path / "again")
    assert "from step 2 the first run went on with other settings" in again["told"]


def test_a_record_tells_what_would_repeat_the_run(given, forks, tmp_path):
    line = [str(word) for word in finetuning(given, tmp_path / "first", "--max-steps", 2, "--fp32")]
    assert forks.run(*line)["status"] == 0
    record = json.loads((tmp_path / "first" / "run.json").read_text("utf-8"))
    assert record["command"] == ["minibert", *line]
    assert (record["seed"], record["device"], record["state"]) == (5, "cpu", "finished")
    assert record["data"]["train"]["rows"] == 24
    hashes = [record["data"][name]["sha256"] for name in ("train", "validation")]
    assert hashes[0] == hashes[1] and len(hashes[0]) == 64
    assert record["data"]["model"]["sha256"] == {
        "model.safetensors": sha256(given / "enc" / "model.safetensors")
    }
    package, running = record["versions"]["torch"], record["machine"]["torch"]
    assert package.partition("+")[0] == running.partition("+")[0]  # the name may leave out +cu130


@pytest.mark.parametrize(
    "record",
    [{}, {"kind": "finetune"}, {"kind": "finetune", "command": ["train.py"], "plan": [[0, 3]]},
     {"kind": "finetune", "command": ["minibert", "rerun", "x"], "plan": [[0, 3]]},
     {"kind": "demo", "command": ["minibert", "demo"], "plan": [[0, 3]]}, {"kind": [], "command": {}},
     {"kind": "finetune", "command": ["minibert", "finetune"]}],
)  # fmt: skip
def test_a_record_that_no_command_began_is_refused(tmp_path, capsys, record):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["rerun", str(tmp_path / "run"), "--output-dir", str(tmp_path / "again")]) == 2
    assert "which is no run of minibert" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("plan", [[], 7, [3], [["a", "b"]], [[5, 3]], {}])
def test_a_plan_that_is_none_is_refused(given, tmp_path, capsys, plan):
    (tmp_path / "run").mkdir()
    command = ["minibert", *map(str, finetuning(given, tmp_path / "run"))]
    record = {"kind": "finetune", "command": command, "plan": plan, "settings": {}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["rerun", str(tmp_path / "run"), "--output-dir", str(tmp_path / "again")]) == 2
    assert "its plan is" in capsys.readouterr().err
