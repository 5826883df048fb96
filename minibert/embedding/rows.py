"""From a chunk of tokens to one row for each text: batch by batch through the encoder, pooled on the way.

Letters: N texts of a chunk, T their tokens, D hidden size.
"""

import numpy as np
import torch
from torch import Tensor

from minibert.embedding.chunks import Chunk
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed

BATCH_TOKENS = {"cpu": 2048, "cuda": 65_536}  # on a CPU more take as long, and memory in proportion


def usual_tokens(encoder: Encoder) -> int:
    """Return how many tokens are computed at once on the encoder's device, where nobody says."""
    device = next(encoder.parameters()).device
    return BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])


@torch.inference_mode()
def embed_chunk(encoder: Encoder, chunk: Chunk, how: str, *, normalize: bool, budget: int) -> np.ndarray:
    """Return the rows of a chunk in the order of its texts; the device is asked once, at the end."""
    device = next(encoder.parameters()).device
    whole = Layout.of(chunk.lengths_N.tolist()).to(device)
    ids_T = torch.from_numpy(chunk.ids_T).to(device)
    rows_ND = torch.zeros(len(chunk.order_N), encoder.config.hidden_size, device=device)
    for texts, tokens in chunk.batches(budget):
        borders = whole.cu_seqlens[texts.start : texts.stop + 1]
        lengths = whole.lengths[texts]
        layout = Layout(lengths, lengths[-1], borders - borders[0], whole.positions[tokens])
        hidden_TD = encoder(Packed(ids_T[tokens], None, layout))
        if how == "first":
            rows_ND[texts] = hidden_TD[layout.starts].float()
        else:  # the numbers of the texts are those of the whole chunk: nothing waits for the device
            rows_ND.index_add_(0, whole.sequence_T[tokens], hidden_TD.float())
    if how == "mean":
        rows_ND /= whole.cu_seqlens.diff().clamp(min=1)[:, None]
    if normalize:
        rows_ND = torch.nn.functional.normalize(rows_ND, dim=1)
    ordered_ND = torch.empty_like(rows_ND)
    ordered_ND[torch.from_numpy(chunk.order_N).to(device)] = rows_ND
    found: Tensor = ordered_ND.cpu()
    return found.numpy()
