"""What is written replaces what minibert wrote, and nothing else."""

import os
import stat
from pathlib import Path

import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.checkpoint import MARK, published, save_tensors, was_made_here
from minibert.durable import MANIFEST
from minibert.embedding.index import build_index
from minibert.errors import InputError
from minibert.output import check_free

WRITERS = {
    "save": lambda model, encoder, place: model.save(place),
    "save_pretrained": lambda model, encoder, place: mb.save_pretrained(model, place),
    "encoder": lambda model, encoder, place: encoder.save_pretrained(place),
    "index": lambda model, encoder, place: build_index(encoder, ["a cat"], place),
    "export": lambda model, encoder, place: mb.export(model, place, format="torch"),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A model, and its encoder with a tokenizer."""
    folder = tiny_runs.make_encoder(tmp_path_factory.mktemp("given") / "enc")
    return mb.load(folder), mb.load_encoder(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_minibert_did_not_make_stays_as_it_is(opened, tmp_path, writer):
    (tmp_path / "home" / "letters").mkdir(parents=True)
    (tmp_path / "home" / "letters" / "a.txt").write_text("dear", "utf-8")
    (tmp_path / "home" / "config.json").write_text("{}", "utf-8")
    (tmp_path / "file.txt").write_text("a novel", "utf-8")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"home is not empty and was not made by minibert.*choose another"):
        WRITERS[writer](*opened, tmp_path / "home")
    with pytest.raises(InputError, match=r"file\.txt is a file; a folder is wanted"):
        WRITERS[writer](*opened, tmp_path / "file.txt")
    with pytest.raises(InputError, match=r"file\.txt/model cannot be a folder"):
        WRITERS[writer](*opened, tmp_path / "file.txt" / "model")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ['{"name": "a page", "icons": []}', "", "[]"])
def test_a_manifest_of_somebody_else_is_not_ours(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, "utf-8")
    (tmp_path / "index.html").touch()
    with pytest.raises(InputError, match="not made by minibert"), published(tmp_path):
        pass
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize("writer", set(WRITERS) - {"export"})
def test_what_minibert_wrote_is_replaced_even_without_its_manifest(opened, tmp_path, writer):
    place = tmp_path / "place"
    WRITERS[writer](*opened, place)
    first = contents(place)
    (place / "config.json").touch()
    (place / "more.txt").touch()
    WRITERS[writer](*opened, place)
    assert contents(place).keys() == first.keys()
    (place / MANIFEST).unlink()
    WRITERS[writer](*opened, place)
    assert contents(place).keys() == first.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize(
    "stranger", ["README.md", "notes.txt", "checkpoint-500/optimizer.pt", "2_Normalize/x"]
)
def test_a_checkpoint_beside_which_others_put_something_stays_as_it_is(opened, tmp_path, stranger):
    place = tmp_path / "theirs"
    mb.save_pretrained(opened[0], place)
    (place / MANIFEST).unlink()
    (place / stranger).parent.mkdir(exist_ok=True)
    (place / stranger).write_text("mine", "utf-8")
    before = contents(place)
    with pytest.raises(InputError, match="was not made by minibert"):
        opened[1].save_pretrained(place)
    assert contents(place) == before


def test_an_empty_folder_and_a_marked_one_are_written_into(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / MARK).touch()
    (tmp_path / "b" / "log.jsonl").touch()
    for name in "ab":
        with published(tmp_path / name) as beside:
            (beside / "x").touch()
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [MANIFEST, "x"]
    (tmp_path / "c" / MARK).mkdir(parents=True)  # a program's own folder, of the same name
    assert not was_made_here(tmp_path / "c")


def test_a_folder_known_as_ours_is_replaced_whatever_is_left_of_it(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "half").touch()
    with published(tmp_path / "checkpoint-2", ours=True) as beside:
        (beside / "whole").touch()
    assert sorted(path.name for path in (tmp_path / "checkpoint-2").iterdir()) == [MANIFEST, "whole"]


def test_the_command_line_knows_what_python_wrote(opened, tmp_path):
    opened[0].save(tmp_path / "model")
    check_free(tmp_path / "model", overwrite=True)
    (tmp_path / "model" / MANIFEST).unlink()
    with pytest.raises(InputError, match="not made by minibert"):
        check_free(tmp_path / "model", overwrite=True)


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk", target_is_directory=True)
    (tmp_path / "later").symlink_to("disk/new", target_is_directory=True)
    for name, target in (("link", "disk"), ("link", "disk"), ("later", "disk/new")):
        with published(tmp_path / name) as beside:
            (beside / "x").touch()
        assert (tmp_path / name).is_symlink()
        assert sorted(path.name for path in (tmp_path / target).iterdir()) == [MANIFEST, "x"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(InputError, match="round"), published(tmp_path / "round"):
        pass


def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    for name in (".", "..", str(tmp_path), "../deep"):
        with pytest.raises(InputError, match=r"working directory.*inside it, such as"), published(name):
            pass
    with published("model") as beside:
        (beside / "x").touch()
    assert (tmp_path / "deep" / "model" / "x").is_file()


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_weights_may_be_read_by_whom_their_neighbours_may(tmp_path, mask):
    before = os.umask(mask)
    try:
        save_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(3)})
        (tmp_path / "config.json").touch()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    assert modes == [0o666 & ~mask] * 2
