"""Fine-tune a classifier that says "none of these" where no class is likely, with honest probabilities.

python examples/reject_strange_texts.py runs/enc train.csv dev.csv runs/intents

Both files have the columns text and label; rows of no class have the label "none".
"""

import sys

import minibert as mb

encoder, train, validation, output_dir = sys.argv[1:5]
model = mb.finetune(
    encoder,
    task="classification",
    train=train,
    validation=validation,  # also decides the threshold and the temperature
    output_dir=output_dir,
    settings={
        "train.num_train_epochs": 4,
        "train.learning_rate": 5e-4,
        "task.pooling": "mean",
        "task.reject_label": "none",
        "task.calibrate": True,
    },
)
examples = model.task.read(validation)
for name, value in model.evaluate(examples).items():
    if isinstance(value, float):
        print(f"{name:20} {value:.3f}")
for example, answer in zip(examples[-3:], model.predict(examples[-3:]), strict=True):
    surest = max(answer.probabilities.values())
    print(f"{answer.label:10} {surest:.2f}  {example.text[:60]!r}")
