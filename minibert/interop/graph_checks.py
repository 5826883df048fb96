"""Whether a graph gives the library's numbers: on real text, each alone and all padded together.

The library's side is packed, the graph's is a padded rectangle, so that a mask or a place that is wrong
shows. Used before an exported graph is handed out, and by the tests.

Letters: N texts, S tokens of the longest.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from minibert.interop.padded import Source, has_row_for_text, in_float32, input_names, outputs_of
from minibert.packed import Layout, Packed
from minibert.text.encoded import Encoded

Arrays = dict[str, np.ndarray]
Runner = Callable[[Arrays], Arrays]

LONGEST_PROBE = 300
PROBES = (
    "The ferry leaves the harbour at seven in the morning, and comes back before dark.",
    "",
    "In 1998 about 3.5 % of them (some 1,200 people) had read \u201cMiddlemarch\u201d; caf\u00e9s were few.",
    "渡船早上七点离开港口，天黑以前回来。",
    "def f(x): return x * 2  # twice",
)


def compare(source: Source, run: Runner) -> float:
    """Return how far a graph is from the library on real text: each alone, and all padded together."""
    encoder, rows = in_float32(source.encoder), probes(source)
    worst = 0.0
    for group in (rows, *([row] for row in rows)):
        batch = Packed.of([row.ids for row in group], [row.segments for row in group])
        with torch.no_grad():
            wanted = outputs_of(encoder, source, batch)
        found = run(padded_inputs(group, input_names(source.encoder), source.tokenizer.pad_id))
        for name, truth in wanted.items():
            mine = torch.from_numpy(found[name])
            mine = mine if has_row_for_text(name, source) else batch.layout.unpad(mine)
            gap = (mine - truth).abs().max() / truth.abs().max().clamp(min=1)
            worst = max(worst, gap.nan_to_num(torch.inf).item())
    return worst


def padded_inputs(rows: Sequence[Encoded], names: Iterable[str], pad_id: int) -> Arrays:
    """Return what a graph is given for these texts: rectangles (N, S) of int64, padded on the right.

    >>> from minibert.text.loading import load_tokenizer
    >>> rows = [tokenizer.build(tokenizer.encode(text)) for text in ("A list.", "")]
    >>> padded_inputs(rows, ["attention_mask"], tokenizer.pad_id)["attention_mask"].tolist()
    [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    """
    layout = Layout.of([len(row) for row in rows])
    kinds = {
        "input_ids": ([row.ids for row in rows], pad_id),
        "attention_mask": ([np.ones(len(row), np.int64) for row in rows], 0),
        "token_type_ids": ([row.segments for row in rows], 0),
    }
    return {name: layout.pad(Packed.of(kinds[name][0]).ids, kinds[name][1]).numpy() for name in names}


def probes(source: Source) -> list[Encoded]:
    """Return texts to compare on: real ones, a pair, a long one, and one of ids from the whole vocabulary."""
    tokenizer, longest = source.tokenizer, min(source.max_length, LONGEST_PROBE)
    room = max(0, longest - tokenizer.special_count())
    whole = [tokenizer.encode(text) for text in (*PROBES, " ".join(PROBES * 9))]
    rows = [tokenizer.build(tokens[:room]) for tokens in whole]
    half = max(0, longest - tokenizer.special_count(pair=True)) // 2
    if source.encoder.config.type_vocab_size > 1 and half:
        rows.append(tokenizer.build(whole[0][:half], whole[2][:half]))
    ids = np.random.default_rng(0).integers(0, source.encoder.config.vocab_size, min(longest, 41))
    zeros = np.zeros(len(ids), np.int8)
    return [*rows, Encoded(ids, np.zeros((len(ids), 2), np.int32), zeros, zeros)]
