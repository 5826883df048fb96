"""Print which tokens look at which, as shades.

python examples/look_at_attention.py runs/enc "A short sentence."
"""

import sys

import minibert as mb
from minibert.inspect import attention_maps

SHADES = " .:-=+*#%@"

folder, text = sys.argv[1:3]
model = mb.load(folder)
window = model.task.encode(text)[0]
tokens = model.task.tokenizer.tokens(window.tokens.ids)
for layer, weights in enumerate(attention_maps(model.encoder, window.tokens.ids.tolist())):
    for head, rows in enumerate(weights):
        print(f"\nlayer {layer}, head {head}: a row looks at the columns")
        for token, row in zip(tokens, rows, strict=True):
            shades = "".join(SHADES[min(9, int(weight * 10))] * 2 for weight in row.tolist())
            print(f"{token:>14} |{shades}|")
