"""Hand a classifier or an encoder to another program: a graph that runs without minibert.

python examples/export_a_model.py runs/clf exported            a program of torch.export
python examples/export_a_model.py runs/clf exported onnx       an ONNX graph
"""

import sys
from pathlib import Path

import minibert as mb
from minibert.interop.graph_checks import padded_inputs
from minibert.interop.graphs import open_onnx, open_program

TEXTS = ["the cat sees", "the road that the dog takes"]


def main(folder: str, output: str, format: str = "torch") -> None:
    model = mb.load(folder)
    told = mb.export(model, output, format=format)  # compared with the model on real text before it is there
    print(f"{', '.join(told.inputs)} -> {', '.join(told.outputs)}; at most {told.difference:.0e} away")

    tokenizer = model.task.tokenizer
    rows = [tokenizer.build(tokenizer.encode(text)) for text in TEXTS]
    run = (open_onnx if format == "onnx" else open_program)(Path(output) / told.file)
    found = run(padded_inputs(rows, told.inputs, tokenizer.pad_id))[told.outputs[0]]
    print(f"{told.outputs[0]} {found.shape}")
    for text, row in zip(TEXTS, found, strict=True):
        print(text, row.round(3).tolist() if row.ndim == 1 else row.shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
