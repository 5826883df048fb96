"""Fine-tune an encoder as a classifier.

python examples/finetune_classifier.py runs/enc train.csv dev.csv runs/clf
"""

import sys

import minibert as mb

encoder, train, validation, output_dir = sys.argv[1:5]
model = mb.finetune(
    encoder,
    task="classification",
    train=train,
    validation=validation,
    output_dir=output_dir,
    settings={"train.num_train_epochs": 3, "train.learning_rate": 5e-4, "task.pooling": "mean"},
)
examples = model.task.read(validation)
print({name: value for name, value in model.evaluate(examples).items() if isinstance(value, float)})
for example, answer in zip(
    examples[:3], model.predict([example.text for example in examples[:3]]), strict=True
):
    print(f"{answer.label} {answer.probabilities[answer.label]:.2f}  {example.text[:60]!r}")
