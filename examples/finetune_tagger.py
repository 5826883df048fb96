"""Fine-tune an encoder as a tagger.

python examples/finetune_tagger.py runs/enc train.conll dev.conll runs/ner
"""

import sys

import minibert as mb

encoder, train, validation, output_dir = sys.argv[1:5]
model = mb.finetune(
    encoder,
    task="tagging",
    train=train,
    validation=validation,
    output_dir=output_dir,
    settings={"train.num_train_epochs": 3, "train.learning_rate": 5e-4, "task.crf": True},
)
examples = model.task.read(validation)
print({name: value for name, value in model.evaluate(examples).items() if isinstance(value, float)})
text = examples[0].text
answer = model.predict([text])[0]
for (start, end), tag in zip(answer.spans, answer.tags, strict=True):
    print(f"{text[start:end]:<20} {tag}")
