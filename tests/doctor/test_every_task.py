"""Every task that is fine-tuned can be looked at, whatever its examples are made of."""

import pytest
import tiny_runs

from minibert.checkup import check_finetuning
from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
    IntentExample,
    MultiLabelExample,
    NumberExample,
    ParallelExample,
    QuestionExample,
    RelationExample,
    SearchExample,
    SummaryExample,
    TaggedExample,
    TextExample,
)

COUNT = 60
TEXTS = [tiny_runs.sentence(number) for number in range(COUNT)]
OTHERS = [tiny_runs.sentence(number) for number in range(500, 500 + COUNT)]
SPANS = [((0, 3), (4, len(text))) for text in TEXTS]
EXAMPLES = {
    "classification": [TextExample(text, None, "ab"[n % 2]) for n, text in enumerate(TEXTS)],
    "multi_label": [MultiLabelExample(text, None, ("a", "b")[: n % 3]) for n, text in enumerate(TEXTS)],
    "regression": [NumberExample(text, None, float(n % 5)) for n, text in enumerate(TEXTS)],
    "multiple_choice": [ChoiceExample(text, ("yes", "no"), n % 2) for n, text in enumerate(TEXTS)],
    "tagging": [TaggedExample(text, spans, ("O", "B-X")) for text, spans in zip(TEXTS, SPANS, strict=True)],
    "intent_slots": [
        IntentExample(text, spans, ("O", "B-X"), "ab"[n % 2])
        for n, (text, spans) in enumerate(zip(TEXTS, SPANS, strict=True))
    ],
    "relations": [RelationExample(text, (0, 3), (4, 7), "ab"[n % 2]) for n, text in enumerate(TEXTS)],
    "question_answering": [QuestionExample("The cat", text, (GoldAnswer("The", 0),)) for text in TEXTS],
    "retrieval": [SearchExample(text, other) for text, other in zip(TEXTS, OTHERS, strict=True)],
    "similarity": [
        NumberExample(text, other, float(n % 5))
        for n, (text, other) in enumerate(zip(TEXTS, OTHERS, strict=True))
    ],
    "extractive_summary": [
        SummaryExample(f"{text} {other}", text) for text, other in zip(TEXTS, OTHERS, strict=True)
    ],
    "seq2seq": [ParallelExample(text, other) for text, other in zip(TEXTS, OTHERS, strict=True)],
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("tasks") / "enc")


@pytest.mark.parametrize("task", EXAMPLES)
def test_a_clean_run_of_a_task_has_no_finding(task, encoder):
    settings = {"train.train_batch_size": 6, "train.precision": "fp32"}
    rows = EXAMPLES[task]
    checkup = check_finetuning(encoder, task=task, train=rows, settings=settings, quick=True)
    # A mention's markers are bytes to a vocabulary of 49 pieces.
    expected = {"unknown-tokens"} if task == "relations" else set()
    assert {finding.name for finding in checkup.findings} == expected
    assert checkup.facts["memory_gb"] > 0


def test_intents_and_tags_of_held_out_rows_may_be_new(encoder):
    held = [IntentExample(OTHERS[0], ((0, 3), (4, 7)), ("B-Y", "O"), "new")]
    checkup = check_finetuning(
        encoder, task="intent_slots", train=EXAMPLES["intent_slots"], validation=held,
        settings={"train.train_batch_size": 6, "train.precision": "fp32"}, quick=True,
    )  # fmt: skip
    assert checkup.findings == ()


@pytest.mark.parametrize("task", ["tagging", "regression", "seq2seq"])
def test_its_rehearsal_ends_well(task, encoder):
    settings = {"train.train_batch_size": 6, "train.max_steps": 25}
    checkup = check_finetuning(encoder, task=task, train=EXAMPLES[task], settings=settings)
    assert checkup.findings == ()
    assert checkup.facts["seconds_per_step"] > 0


@pytest.mark.parametrize("task", ["retrieval", "similarity"])
def test_a_pair_that_is_read_text_by_text_counts_once(task, encoder):
    settings = {"train.train_batch_size": 6, "train.precision": "fp32", "train.num_train_epochs": 1.0}
    rows = EXAMPLES[task][:4]
    checkup = check_finetuning(encoder, task=task, train=rows, settings=settings, quick=True)
    (found,) = [finding for finding in checkup.findings if finding.name == "few-steps"]
    assert found.seen.startswith("the run has 1 step,")


@pytest.mark.parametrize("task", ["relations", "classification"])
def test_a_cache_that_training_would_refuse_is_found_before(task, encoder):
    settings = {"train.freeze": "encoder", "adapt.cache_features": True}
    checkup = check_finetuning(encoder, task=task, train=EXAMPLES[task], settings=settings)
    told = [finding.seen for finding in checkup.findings if "cache_features" in finding.seen]
    assert bool(told) == (task == "relations"), checkup
