"""Masked language modelling around torch.nn.TransformerEncoder, as a careful user writes it in an afternoon.

BERT's shape and as many weights: learned positions and segments, a norm over the embeddings, GELU, the norm
after each residual, dropout, and a head whose table is that of the embeddings. Logits are computed at masked
places alone. The interface is that of transformers, so that one training step serves both.

Letters: N texts, S longest text, D hidden size, M masked places, V vocabulary.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.config import EncoderConfig


class TorchMaskedLM(nn.Module):
    """Embeddings, torch.nn.TransformerEncoder and a tied head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.token = nn.Embedding(config.vocab_size, hidden)
        self.position = nn.Embedding(config.max_position_embeddings, hidden)
        self.segment = nn.Embedding(config.type_vocab_size, hidden)
        self.norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        layer = nn.TransformerEncoderLayer(
            hidden,
            config.num_attention_heads,
            config.intermediate_size,
            dropout=config.hidden_dropout_prob,
            activation="gelu",
            layer_norm_eps=config.layer_norm_eps,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.num_hidden_layers, enable_nested_tensor=False)
        self.dense = nn.Linear(hidden, hidden)
        self.head_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        for name, weight in self.named_parameters():  # in-projections are plain parameters, no Linear
            if weight.ndim == 2:
                nn.init.normal_(weight, std=config.initializer_range)
            elif "norm" not in name:
                nn.init.zeros_(weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None, labels: Tensor) -> SimpleNamespace:
        """Return the mean loss at places whose label is not -100, under the name `loss`.

        All are (N, S); the mask is 1 for tokens and 0 for padding, or None where nobody is padded.
        """
        places_S = torch.arange(input_ids.shape[1], device=input_ids.device)
        sum_NSD = self.token(input_ids) + self.position(places_S) + self.segment.weight[0]
        padding_NS = None if attention_mask is None else attention_mask == 0
        hidden_NSD = self.encoder(self.dropout(self.norm(sum_NSD)), src_key_padding_mask=padding_NS)
        hidden_MD = hidden_NSD[labels != -100]
        logits_MV = F.linear(self.head_norm(F.gelu(self.dense(hidden_MD))), self.token.weight, self.bias)
        return SimpleNamespace(loss=F.cross_entropy(logits_MV.float(), labels[labels != -100]))
