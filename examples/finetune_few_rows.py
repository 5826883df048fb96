"""Fine-tune on few rows, once plainly and once with what makes that better and steadier, three seeds each.

python examples/finetune_few_rows.py runs/enc few.csv dev.csv runs/few
"""

import statistics
import sys

import minibert as mb

encoder, train, validation, output_dir = sys.argv[1:5]
plain = {"train.num_train_epochs": 3, "task.pooling": "mean", "data.progress": False}
careful = {
    **plain,
    "train.num_train_epochs": 5,
    "train.layerwise_lr_decay": 0.9,  # low layers move less
    "train.r_drop_alpha": 1.0,  # two passes with other dropout shall agree
    "train.fgm_epsilon": 0.05,  # and the worst small move of the token vectors is trained too
    "train.ema_decay": 0.97,  # the running mean of the weights is kept
    "task.label_smoothing": 0.1,
}
for name, settings in (("plain", plain), ("careful", careful)):
    accuracies = []
    for seed in range(3):
        model = mb.finetune(
            encoder,
            task="classification",
            train=train,
            output_dir=f"{output_dir}/{name}-{seed}",
            settings={**settings, "train.seed": seed},
        )
        accuracies.append(model.evaluate(model.task.read(validation))["accuracy"])
    mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
    print(f"{name:<8} accuracy {mean:.3f} ± {spread:.3f}")
