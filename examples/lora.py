"""Three adapters on one encoder: train them, open them on the same weights, ask all, hand one on.

python examples/lora.py runs/enc train.csv dev.csv runs/adapters

Both files have the columns text and label.
"""

import sys
from pathlib import Path

import minibert as mb
from minibert.adapt.merging import merged

encoder, train, validation, output_dir = sys.argv[1:5]
shared = {"train.num_train_epochs": 4, "task.pooling": "mean", "data.progress": False}
ways = {
    "lora": {"adapt.adapter": "lora", "adapt.lora_rank": 8, "adapt.lora_target_modules": "query,value"},
    "bitfit": {"adapt.adapter": "bitfit"},
    "prompt": {"adapt.adapter": "prompt", "adapt.prompt_tokens": 20},
}
for name, settings in ways.items():
    mb.finetune(
        encoder,
        task="classification",
        train=train,
        validation=validation,
        output_dir=f"{output_dir}/{name}",
        settings={**shared, **settings},
    )

first = mb.load(f"{output_dir}/lora")
for name in ways:
    folder = Path(output_dir) / name
    model = mb.load(folder, base=first)  # the encoder is in memory once
    size = (folder / "model.safetensors").stat().st_size
    accuracy = model.evaluate(model.task.read(validation))["accuracy"]
    print(f"{name:8} {size / 1e3:,.0f} kB, accuracy {accuracy:.3f}")

plain = merged(first)  # a model like any other: no base, nothing added at run time
plain.save(f"{output_dir}/merged")
print(f"merged: {plain.predict(['a clever story'])[0].label}")
