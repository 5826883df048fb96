"""SetFit, the package that few-shot classifiers by pairs come from, beside ours: the same weights and draws.

As its documentation has it: 20 pairs of each kind for a text, one epoch of 16 pairs, then scikit-learn's
logistic regression on the vectors (Tunstall et al., 2022, section 3.1). In float32, which is its default.
"""

from collections.abc import Sequence
from pathlib import Path

from minibert.data.examples import TextExample
from minibert.tasks.metrics import choice_scores

ITERATIONS, BATCH = 20, 16


def setfit(
    encoder: Path, rows: Sequence[TextExample], test: Sequence[TextExample], *, max_length: int, seed: int
) -> dict[str, float]:
    """Train on a draw and return what the classifier reaches on the test rows."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    labels = sorted({str(row.label) for row in rows})
    numbers = [labels.index(str(row.label)) for row in rows]
    model = SetFitModel.from_pretrained(str(encoder))
    model.model_body.max_seq_length = max_length
    arguments = TrainingArguments(
        batch_size=BATCH,
        num_epochs=1,
        num_iterations=ITERATIONS,
        seed=seed,
        show_progress_bar=False,
        report_to="none",
        save_strategy="no",
    )
    pairs = Dataset.from_dict({"text": [row.text for row in rows], "label": numbers})
    Trainer(model=model, args=arguments, train_dataset=pairs).train()
    found = [labels[int(number)] for number in model.predict([row.text for row in test])]
    scores = choice_scores([str(row.label) for row in test], found, labels)
    return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}
