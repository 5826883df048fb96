"""Let Optuna look for settings on rows that judge, then see on other rows what they are worth.

python examples/search_settings.py runs/enc train.csv dev.csv test.csv runs/tuned

The package optuna comes with `pip install 'minibert-encoder[tune]'`.
"""

import sys

import minibert as mb
from minibert.tune.search import tune
from minibert.tune.space import parse_space

encoder, train, validation, test, output_dir = sys.argv[1:6]
same = {"train.max_steps": 40, "task.pooling": "mean", "data.progress": False}
found = tune(
    encoder,
    task="classification",
    train=train,
    validation=validation,
    space=parse_space(["train.learning_rate=1e-5..1e-2:log", "task.classifier_dropout=0..0.3"]),
    output_dir=f"{output_dir}/search",
    trials=6,
    settings=same,
)
print(f"the best of {found.trials} trials: {found.metric} {found.score:.3f} on the rows that judged it")
for name, value in found.values.items():
    print(f"  {name} = {value:.3g}")
model = mb.finetune(
    encoder,
    task="classification",
    train=train,
    output_dir=f"{output_dir}/model",
    settings=found.settings,  # on a command line: --config runs/tuned/search/best.toml
)
print(f"on rows that nobody has seen: {model.evaluate(model.task.read(test))['accuracy']:.3f}")
