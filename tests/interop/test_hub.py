"""Names of the hub: fetched once where the package is there, and one clear error where that cannot be."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiny_runs

import minibert as mb
from minibert.checkup.finetuning import check_finetuning
from minibert.errors import InputError
from minibert.further.distill import distill
from minibert.further.learn_on import learn_on
from minibert.further.update import update
from minibert.interop.hub import local_folder

NAME = "somebody/a-model.v2"


class FakeHub(ModuleType):
    """What the package gives, without a network: one folder, or one error."""

    def __init__(self, given: Path | Exception) -> None:
        super().__init__("huggingface_hub")
        self.given = given
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(self, name: str, **how: Any) -> str:
        self.asked.append((name, how))
        if isinstance(self.given, Exception):
            raise self.given
        return str(self.given)


@pytest.fixture
def hub(monkeypatch):
    def install(given: Path | Exception) -> FakeHub:
        fake = FakeHub(given)
        monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
        return fake

    return install


def test_a_name_is_fetched_and_opened(hub, tmp_path):
    fake = hub(tiny_runs.make_encoder(tmp_path / "enc"))
    assert mb.load_encoder(NAME).embed(["The cat"], progress=False).shape == (1, 32)
    assert mb.load(NAME).task.name == "masked_lm"
    assert [name for name, _ in fake.asked] == [NAME, NAME]
    wanted, unwanted = (fake.asked[0][1][key] for key in ("allow_patterns", "ignore_patterns"))
    assert "*.safetensors" in wanted and "*.json" in wanted and "onnx/*" in unwanted
    assert not any("bin" in pattern or "h5" in pattern or pattern == "*" for pattern in wanted)


def test_a_folder_that_is_there_is_never_asked_for(hub, tmp_path, monkeypatch):
    fake = hub(OSError("asked"))
    monkeypatch.chdir(tmp_path)
    tiny_runs.make_encoder(Path("runs") / "enc")
    assert local_folder("runs/enc") == Path("runs/enc")
    mb.load_encoder("runs/enc")
    for other in ("gone", "a/b/c", str(tmp_path / "gone"), "../gone", "./runs/gone", "-x/y"):
        assert local_folder(other) == Path(other)
    assert fake.asked == []


@pytest.mark.parametrize("opener", [mb.load, mb.load_encoder])
def test_a_bare_name_is_told_how_a_model_of_the_hub_is_named(hub, opener, tmp_path, monkeypatch):
    fake = hub(OSError("asked"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"bert-base-uncased: no such folder.*as ORGANISATION/MODEL"):
        opener("bert-base-uncased")
    assert fake.asked == []


def test_without_the_package_both_ways_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError) as error:
        mb.load_encoder(NAME)
    message = str(error.value)
    assert message.startswith(f"{NAME}: no such folder here")
    assert "pip install huggingface_hub" in message and f"hf download {NAME} --local-dir" in message


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ConnectionError("the network is down\nlong tail"), "the network is down;"),
        (FileNotFoundError("not in the cache"), "not in the cache"),
        (ValueError("a bad name"), "a bad name"),
        (OSError(), "OSError"),
    ],
)
def test_a_hub_that_gives_nothing_is_one_error_with_its_reason(hub, failure, reason):
    hub(failure)
    with pytest.raises(InputError) as error:
        mb.load(NAME)
    message = str(error.value)
    assert reason in message and "long tail" not in message
    assert f"hf download {NAME} --local-dir FOLDER" in message


ROWS = [mb.TextExample("the cat", label="x"), mb.TextExample("the dog", label="y")]
DOORS = {
    "finetune": lambda: mb.finetune(NAME, task="classification", train=ROWS, output_dir="out"),
    "pretrain": lambda: mb.pretrain(["c.txt"], model=NAME, output_dir="out"),
    "few_shot": lambda: mb.few_shot(NAME, ROWS, ROWS, per_class=(1,), progress=False),
    "few_shot_model": lambda: mb.few_shot_model(NAME, ROWS),
    "learn_on": lambda: learn_on(NAME, train=[ROWS], validation=[ROWS], output_dir="out"),
    "update": lambda: update(NAME, train=ROWS, kept=ROWS, output_dir="out"),
    "distill": lambda: distill([NAME], train=ROWS, output_dir="out"),
    "doctor": lambda: check_finetuning(NAME, task="classification", train=ROWS),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_asks_the_hub_for_a_name(hub, tmp_path, monkeypatch, door):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.txt").write_text("the cat sees the dog")
    fake = hub(ConnectionError("no network today"))
    with pytest.raises(InputError, match="the hub did not give a model of that name: no network today"):
        DOORS[door]()
    assert {name for name, _ in fake.asked} == {NAME}
    assert not (tmp_path / "out").exists()


def test_what_was_fetched_is_finetuned(hub, tmp_path):
    hub(tiny_runs.make_encoder(tmp_path / "enc"))
    settings = {"train.max_steps": 1, "train.precision": "fp32", "data.progress": False}
    model = mb.finetune(
        NAME, task="classification", train=ROWS, output_dir=tmp_path / "out", settings=settings
    )
    assert model.task.labels == ("x", "y")
