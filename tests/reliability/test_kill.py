"""Kill -9 at any moment, the same command with --resume: the same weights and the same log, bit for bit."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

COMMON = ("--no-progress", "--logging-steps", "1", "--save-steps", "3", "--seed", "3")
SHORT = ("--size", "tiny", "--set", "data.tokens_per_batch=256", "--max-steps", "8", "--eval-steps", "4")
TRAIN, MASKED, TAGS = "train.csv", "corpus.txt", "people.conll"
LABELS = ("finetune", "--task", "classification", "--model", "{enc}", "--train-file", "{train}",
          "--validation-file", "{train}", "--train-batch-size", "6", "--eval-steps", "2")  # fmt: skip
WORDS = ("finetune", "--task", "tagging", "--model", "{enc}", "--train-file", "{people}",
         "--validation-file", "{people}", "--train-batch-size", "3")  # fmt: skip
COMMANDS = {
    "classification": (*LABELS, "--max-steps", "10", "--gradient-accumulation-steps", "2", "--fp32", *COMMON),
    "early_stopping": (*LABELS, "--learning-rate", "1e-7", "--early-stopping-patience", "2", "--max-steps",
                       "50", "--bf16", *COMMON),
    "lora": (*LABELS, "--adapter", "lora", "--max-steps", "8", "--bf16", *COMMON),
    "tagging": (*WORDS, "--crf", "--max-steps", "8", "--bf16", *COMMON),
    "masked_lm": ("pretrain", "{corpus}", "--tokenizer", "{enc}", "--fp32", "--optim", "muon",
                  "--gradient-accumulation-steps", "2", *SHORT, *COMMON),
    "replaced_tokens": ("pretrain", "{corpus}", "--objective", "replaced_tokens", "--vocab-size", "310",
                        "--token-vectors", "cooccurrence", "--bf16", *SHORT, *COMMON),
}  # fmt: skip
FAST = ("classification", "early_stopping", "tagging", "masked_lm")  # `make test` has these


def command(name: str, given: Path, output: Path) -> list[str]:
    places = {"enc": given / "enc", "train": given / TRAIN, "corpus": given / MASKED, "people": given / TAGS}
    return [*(word.format(**places) for word in COMMANDS[name]), "--output-dir", str(output)]


def fingerprint(output: Path) -> tuple[str, list[dict]]:
    """Return the SHA-256 of the weights, and the log without what clocks say."""
    lines = map(json.loads, (output / "log.jsonl").read_text("utf-8").splitlines())
    timeless = [{k: v for k, v in line.items() if k not in ("seconds", "elapsed")} for line in lines]
    return hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest(), timeless


@pytest.fixture(scope="module")
def whole(given, forks, tmp_path_factory):
    """Return a function: the fingerprint and the moments of a command that nobody interrupts, run once."""
    known = {}

    def run(name):
        if name not in known:
            output = tmp_path_factory.mktemp("whole") / name
            ended = forks.run(*command(name, given, output))
            assert ended["status"] == 0, ended["told"]
            known[name] = fingerprint(output), ended["moments"]
        return known[name]

    return run


def survives(forks, argv: list[str], kills: list[int]) -> None:
    """Start a command, kill it at each of the moments in turn, and let the last start come to its end."""
    ended = forks.run(*argv, kill_at=kills[0])
    assert ended["status"] == -9, ended["told"]
    for kill_at in kills[1:]:
        ended = forks.run(*argv, "--resume", kill_at=kill_at)
        assert ended["status"] in (0, -9), ended["told"]
    ended = forks.run(*argv, "--resume")
    assert ended["status"] == 0, ended["told"]


def random_moments(moments: list[str], count: int, seed: int) -> list[int]:
    """Draw moments; every second one lies in what a checkpoint is made of."""
    random = np.random.default_rng(seed)
    saving = [at for at, name in enumerate(moments) if "half of" in name or "checkpoint" in name]
    return [int(random.choice(saving) if n % 2 else random.integers(len(moments))) for n in range(count)]


@pytest.mark.parametrize(("name", "where"), list(zip(FAST, (0.5, 0.6, 0.75, 0.9), strict=True)))
def test_a_run_that_was_killed_ends_as_if_nothing_had_happened(name, where, given, forks, whole, tmp_path):
    expected, moments = whole(name)
    begun = next(at for at, moment in enumerate(moments) if moment == "_step")
    kill_at = begun + int(where * (len(moments) - begun))
    survives(forks, command(name, given, tmp_path / "run"), [kill_at])
    assert fingerprint(tmp_path / "run") == expected


def test_patience_ends_the_run_that_is_killed_for_it(whole):
    (_, log), _ = whole("early_stopping")
    assert log[-1]["step"] < 50


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_random_moments_of_every_command(name, given, forks, whole, tmp_path):
    expected, moments = whole(name)
    for number, kill_at in enumerate(random_moments(moments, 20, seed=17)):
        output = tmp_path / str(number)
        survives(forks, command(name, given, output), [kill_at])
        assert fingerprint(output) == expected, moments[kill_at]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_that_is_killed_again_and_again_still_comes_to_its_end(name, given, forks, whole, tmp_path):
    expected, moments = whole(name)
    survives(forks, command(name, given, tmp_path / "run"), random_moments(moments, 12, seed=5))
    assert fingerprint(tmp_path / "run") == expected


@pytest.mark.slow
def test_every_moment_of_a_save(given, forks, whole, tmp_path):
    expected, moments = whole("classification")
    steps = [at for at, name in enumerate(moments) if name == "_step"]
    first, second = steps[5], steps[6]  # the sixth step, the second save, up to the seventh step
    assert any(name.startswith("rename .checkpoint-6") for name in moments[first:second])
    for kill_at in range(first, second):
        output = tmp_path / str(kill_at)
        survives(forks, command("classification", given, output), [kill_at])
        assert fingerprint(output) == expected, moments[kill_at]


def test_a_run_under_a_clock_counts_the_seconds_before_it_was_killed(given, forks, tmp_path):
    words = command("classification", given, tmp_path / "run")
    line = [*words, "--max-steps", "100000", "--budget", "2s"]
    assert forks.run(*line, kill_at=200)["status"] == -9
    log = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    before = json.loads(log[-1])
    ended = forks.run(*line, "--resume")
    assert ended["status"] == 0, ended["told"]
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert before["step"] < record["steps_done"] == record["plan"][-1][1] < 100_000
    log = list(map(json.loads, (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()))
    assert [line["step"] for line in log if line["event"] == "train"] == list(range(1, log[-1]["step"] + 1))
    times = [line["elapsed"] for line in log]
    assert times == sorted(times)
