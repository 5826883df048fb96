"""Open a checkpoint of Hugging Face's layout, compare, fine-tune it if data are given, and hand it back.

python examples/load_a_checkpoint.py path/to/all-MiniLM-L6-v2
python examples/load_a_checkpoint.py path/to/all-MiniLM-L6-v2 train.csv dev.csv runs/clf
"""

import sys
from importlib.util import find_spec

import numpy as np

import minibert as mb

TEXTS = ["A cat sleeps on the sofa.", "There is a kitten on the couch.", "Shares fell by two per cent."]


def main(folder: str, *files: str) -> None:
    encoder = mb.load_encoder(folder)
    rows = encoder.embed(TEXTS)
    print(f"{encoder.encoder.config.num_hidden_layers} layers; a text is cut at {encoder.max_length} tokens")
    for text, row in zip(TEXTS, rows, strict=True):
        print(f"{float(row @ rows[0]):6.3f}  {text}")

    [found] = encoder.hidden(TEXTS[:1])
    print(" ".join(TEXTS[0][start:end] for start, end in found.spans if end))

    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        theirs = SentenceTransformer(folder, device="cpu").encode(TEXTS, normalize_embeddings=True)
        print(f"at most {np.abs(theirs - rows).max():.1e} from sentence-transformers")

    if not files:
        return
    train, validation, output_dir = files
    model = mb.finetune(
        folder,
        task="classification",
        train=train,
        validation=validation,
        output_dir=output_dir,
        settings={"train.num_train_epochs": 3, "train.learning_rate": 1e-4},
    )
    print(f"accuracy {model.evaluate(model.task.read(validation))['accuracy']:.3f}")
    mb.save_pretrained(model, f"{output_dir}-for-transformers")
    print(f'transformers.pipeline("text-classification", "{output_dir}-for-transformers") opens it')


if __name__ == "__main__":
    main(*sys.argv[1:])
