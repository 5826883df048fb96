"""A few rows for every task that is fine-tuned, about the animals of `tiny_runs`."""

from typing import Any

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

SPANS = ((0, 3), (4, 7), (8, 12))
ROWS: dict[str, list[Any]] = {
    "classification": [
        TextExample("the cat sees", label="animal"),
        TextExample("the dog", label="animal"),
        TextExample("the stone", label="thing"),
        TextExample("the road moves", label="thing"),
    ],
    "cloze": [TextExample("the cat", label="animal"), TextExample("the road", label="thing")],
    "multi_label": [
        MultiLabelExample("the cat sees", labels=("animal", "sees")),
        MultiLabelExample("the stone", labels=()),
        MultiLabelExample("the dog", labels=("animal",)),
    ],
    "regression": [NumberExample("the cat of 1", label=1.0), NumberExample("the cat of 7", label=7.0)],
    "multiple_choice": [
        ChoiceExample("who sees?", ("the cat", "the stone"), label=0),
        ChoiceExample("what is hard?", ("the cat", "the stone"), label=1),
    ],
    "tagging": [
        TaggedExample("the cat sees", SPANS, ("O", "B-A", "O")),
        TaggedExample("the dog sees", SPANS, ("O", "B-A", "O")),
    ],
    "intent_slots": [
        IntentExample("the cat sees", SPANS, ("O", "B-who", "O"), "look"),
        IntentExample("the dog runs", SPANS, ("O", "B-who", "O"), "run"),
    ],
    "relations": [
        RelationExample("the cat sees the dog", (0, 7), (13, 20), "sees"),
        RelationExample("the dog of the road", (0, 7), (11, 19), "of"),
    ],
    "question_answering": [
        QuestionExample("Who sees?", "The cat sees the dog.", (GoldAnswer("The cat", 0),)),
        QuestionExample("Who runs?", "The cat sees the dog.", ()),
    ],
    "retrieval": [
        SearchExample("who sees", "the cat sees the dog", ("a stone",)),
        SearchExample("what lies", "the stone of the road"),
    ],
    "similarity": [
        NumberExample("the cat sees", "the dog sees", 4.0),
        NumberExample("the cat sees", "a stone", 1.0),
        NumberExample("the road", "the road of the stone", 3.0),
    ],
    "extractive_summary": [
        SummaryExample("The cat sees the dog. The stone is hard. A road.", "The cat sees."),
        SummaryExample("The river moves. The bird takes the list.", "The river moves."),
    ],
    "seq2seq": [ParallelExample("the cat", "the dog"), ParallelExample("the stone", "the road")],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "cloze": {"task.template": "{text} sees [MASK].", "task.verbalizer": "animal=t,thing=c"}
}
