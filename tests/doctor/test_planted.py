"""Every fault that is planted in a clean run is found by its name, and a clean run has none."""

import json
import random

import numpy as np
import planted_faults as planted
import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.checkup import check_finetuning, check_path
from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
    MultiLabelExample,
    NumberExample,
    QuestionExample,
    RelationExample,
    TaggedExample,
)
from minibert.doctor.labels import label_findings
from minibert.errors import InputError


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("doctor") / "enc")


def look(encoder, case, quick=True):
    return check_finetuning(
        encoder, task="classification", train=case.train, validation=case.held, settings=case.settings,
        quick=quick,
    )  # fmt: skip


def names(checkup):
    return {finding.name for finding in checkup.findings}


def test_a_clean_run_has_no_finding(encoder):
    checkup = look(encoder, planted.clean())
    assert checkup.findings == ()
    assert checkup.facts["rows"] == 200
    assert checkup.facts["validation_rows"] == 40
    assert checkup.facts["steps"] == 130  # 200 rows in steps of 16, ten times


@pytest.mark.parametrize("fault", planted.FAULTS)
def test_a_planted_fault_is_found_by_its_name(encoder, fault):
    checkup = look(encoder, planted.FAULTS[fault](planted.clean()))
    assert fault in names(checkup)
    assert len(names(checkup)) <= 3, "one fault is told in a few findings"
    for finding in checkup.findings:
        assert finding.seen and finding.advice


def test_at_least_twelve_faults_are_known():
    assert len(planted.FAULTS) >= 12


@pytest.mark.parametrize(
    ("example", "value"),
    [
        (ChoiceExample("It rains.", ("in", "out"), 2), "label 2"),
        (RelationExample("Anna lives", (0, 4), (5, 99), "in"), "(5, 99)"),
        (TaggedExample("Anna", ((0, 4),), ("B-PER", "O")), "1 words and 2 tags"),
        (QuestionExample("Who?", "The cat sees it.", (GoldAnswer("dog", 4),)), "'dog'"),
    ],
)
def test_a_label_that_points_outside_is_an_error_with_its_value(example, value):
    found = [finding for finding in label_findings([example], []) if finding.name == "label-range"]
    assert [finding.severity for finding in found] == ["error"]
    assert value in found[0].seen


def test_numbers_that_are_all_the_same_are_an_error():
    rows = [NumberExample(tiny_runs.sentence(n), None, 2.5) for n in range(9)]
    assert [(finding.name, finding.severity) for finding in label_findings(rows, [])] == [
        ("one-label", "error")
    ]


def test_two_numbers_for_one_text_are_no_contradiction():
    assert label_findings([NumberExample("good", None, 2.0), NumberExample("good", None, 4.0)], []) == []


def test_tags_are_known_by_their_type_whatever_their_letter():
    seen = TaggedExample("Anna", ((0, 4),), ("S-PER",))
    held = TaggedExample("Anna Li", ((0, 4), (5, 7)), ("B-PER", "E-PER"))
    assert label_findings([seen], [held]) == []


def test_tags_that_are_numbers_are_told():
    rows = [TaggedExample("Anna", ((0, 4),), (tag,)) for tag in ("1", "0")]
    assert [finding.name for finding in label_findings(rows, [])] == ["number-tags"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [(["war, love", "war;peace"], True), (["Rome, Italy", "x"], False), (["喜剧、爱情", "爱情，战争"], True)],
)
def test_labels_that_are_joined_by_another_mark_are_told(labels, told):
    rows = [MultiLabelExample("a", None, (label,)) for label in labels]
    assert ("joined-labels" in {finding.name for finding in label_findings(rows, [])}) == told


def test_a_text_that_is_not_read_is_told(encoder, tmp_path):
    path = tmp_path / "nli.csv"
    rows = [f"{tiny_runs.sentence(n)},{tiny_runs.sentence(n + 1)},{'ab'[n % 2]},{n}" for n in range(40)]
    for second, told in (("claim", True), ("pair", False)):
        path.write_text("\n".join([f"text,{second},label,id", *rows]) + "\n", "utf-8")
        found = check_finetuning(encoder, task="classification", train=path, quick=True).findings
        seen = [finding.seen for finding in found if finding.name == "unread-text"]
        assert bool(seen) == told
        assert not told or "'claim' hold texts and are not read; read is text" in seen[0]


def test_chinese_names_and_dates_are_no_texts_and_a_sentence_is(encoder, tmp_path):
    rows = [
        f"消息{n}公布,北京利尔{n},2018年2月{n}日,{'ab'[n % 2]},这家公司今年的收入比去年高得多{n}"
        for n in range(40)
    ]
    (tmp_path / "news.csv").write_text("\n".join(["text,company,date,label,more", *rows]) + "\n", "utf-8")
    found = check_finetuning(encoder, task="classification", train=tmp_path / "news.csv", quick=True).findings
    (told,) = [finding.seen for finding in found if finding.name == "unread-text"]
    assert "'more' hold texts" in told


def test_labels_of_another_width_look_the_same():
    rows = [mb.TextExample("a", None, label) for label in ("A股", "Ａ股")]
    assert "similar-labels" in {finding.name for finding in label_findings(rows, [])}


def test_the_reject_label_may_be_in_the_validation_data_alone(encoder):
    case = planted.FAULTS["unknown-label"](planted.clean())  # its label is "neither"
    told = planted.Case(case.train, case.held, {**case.settings, "task.reject_label": "neither"})
    assert look(encoder, told).findings == ()
    told.held.append(mb.TextExample("the goat", None, "another"))
    assert names(look(encoder, told)) == {"unknown-label"}


def test_chinese_copies_that_differ_in_punctuation_alone_are_near(encoder):
    case = planted.clean()
    case.train.append(mb.TextExample("这家酒店很好。", None, "odd"))
    case.held.append(mb.TextExample("这家酒店很好!", None, "odd"))
    assert "near-leakage" in names(look(encoder, case))


def test_a_tokenizer_of_another_model_is_found(tmp_path):
    folder = tiny_runs.make_encoder(tmp_path / "enc")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 305}), "utf-8")
    found = check_path(folder, quick=True).findings
    assert [(finding.name, finding.severity) for finding in found] == [("vocabulary-mismatch", "error")]
    assert "310" in found[0].seen and "305" in found[0].seen


@pytest.mark.parametrize("name", ["config.json", "task.json", "model.safetensors"])
def test_a_run_that_lacks_a_part_of_its_model_is_not_whole(tmp_path, name):
    """A run's folder without a config.json was passed over."""
    folder = tiny_runs.make_encoder(tmp_path / "enc")
    (folder / "run.json").write_text(json.dumps({"kind": "finetune", "state": "finished"}), "utf-8")
    (folder / name).unlink()
    (found,) = check_path(folder, quick=True).findings
    assert (found.name, found.severity) == ("model-folder", "error") and name in found.seen


def test_a_damaged_file_of_weights_is_found_only_where_it_is_read(tmp_path):
    folder = tiny_runs.make_encoder(tmp_path / "enc")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-5] ^= 255
    (folder / "model.safetensors").write_bytes(weights)
    assert names(check_path(folder, quick=True)) == set()
    assert names(check_path(folder)) == {"damaged-weights"}


def test_looking_changes_no_random_state(encoder):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    look(encoder, planted.clean())
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


def test_a_setting_that_does_not_exist_is_told_at_once(encoder):
    with pytest.raises(InputError, match="learning_rat"):
        check_finetuning(encoder, task="classification", train=[], settings={"train.learning_rat": 1})


def test_the_call_in_python_looks_at_a_path_or_at_a_run(encoder, tmp_path):
    table = tiny_runs.write_table(tmp_path / "train.csv", rows=40)
    assert names(mb.doctor(table)) == {"duplicates"}
    found = names(mb.doctor(encoder, task="classification", train=table, quick=True))
    assert {"duplicates", "batch-size"} <= found
    with pytest.raises(InputError, match="name the task"):
        mb.doctor(encoder, train=table)


@pytest.mark.parametrize(
    "settings", [{"adapt.adapter": "lora"}, {"adapt.adapter": "prompt"}, {"train.freeze": "encoder"}]
)
def test_a_run_that_trains_a_part_is_looked_at_too(encoder, settings):
    whole, part = planted.clean(), planted.clean()
    part = planted.Case(part.train, part.held, {**part.settings, **settings})
    checkup = look(encoder, part)
    assert checkup.findings == ()
    assert checkup.facts["disk_gb"] <= look(encoder, whole).facts["disk_gb"]


def test_long_prompts_take_memory(encoder):
    case = planted.clean()
    found = [
        look(
            encoder,
            planted.Case(case.train, case.held, {"adapt.adapter": "prefix", "adapt.prompt_tokens": P}),
        )
        for P in (20, 2000)
    ]
    assert found[1].facts["memory_gb"] > 3 * found[0].facts["memory_gb"]
