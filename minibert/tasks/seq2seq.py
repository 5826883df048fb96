"""Sequence to sequence: a text in, a text out. Translation, abstractive summaries and replies are one task.

The encoder reads the source, the decoder writes the target, one token after the other (Sutskever et al.,
2014; Vaswani et al., 2017)::

    p(y | x) = product over t of  p(y_t | y_1 .. y_t-1, encoder(x))
    p(y_t | ...) = softmax(decoder(...) Table' + c)

In training all tokens before y_t are the true ones (teacher forcing), so that every place learns at once; a
share of each target is spread over the vocabulary (label smoothing). One table holds the vectors of the
source, of the target and of the output (Press and Wolf, 2017), unless `share_embeddings` is off.
[CLS] stands before a target, [SEP] ends it. With `copy_attention` each token may be copied from the source
(model/pointer.py).
Left out: sampling, pretrained decoders, and long sources in windows (they are cut off).

Letters: T target tokens, M target tokens that are scored, V vocabulary, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import ParallelExample, as_example, check_examples
from minibert.data.parallel import read_parallel
from minibert.errors import InputError
from minibert.kernels.cross_entropy import linear_cross_entropy, linear_log_p
from minibert.model.config import EncoderConfig
from minibert.model.cross_attention import Memory
from minibert.model.decoder import Decoder
from minibert.model.encoder import Encoder
from minibert.model.generation import Written, generate
from minibert.model.pointer import NO_TOKEN, Pointer, Writing
from minibert.packed import Packed
from minibert.tasks.from_scratch import check_known
from minibert.tasks.full_width import full_width_marks, widened
from minibert.tasks.seq2seq_options import Seq2SeqOptions
from minibert.tasks.task import Fit, Loss, Task
from minibert.tasks.teacher_forcing import PairWindow, TeacherForcing
from minibert.tasks.text_metrics import check_metric, text_scores
from minibert.tasks.windows import fit_text, window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Generated:
    """The answer for one source: the text that was written, and its length-normed log-probability."""

    target: str
    score: float


class Seq2Seq(Task):
    """A decoder above the encoder."""

    name: ClassVar[str] = "seq2seq"
    Options: ClassVar[type] = Seq2SeqOptions
    columns: ClassVar[tuple[str, ...]] = ("source_column", "target_column")

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, options: Seq2SeqOptions, *, full_width: str = ""
    ) -> None:
        """Make the task, its decoder not yet trained; full_width are the marks that `widened` is told."""
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        if options.share_embeddings and config.embedding_size not in (0, config.hidden_size):
            raise InputError(
                f"this encoder's token table is {config.embedding_size} wide and its hidden states "
                f"{config.hidden_size}; the decoder needs a table of its own: share_embeddings false"
            )
        self.options, self.full_width = options, full_width
        learned = options.max_target_length if options.decoder_positions == "learned" else 0
        layers = options.decoder_layers or config.num_hidden_layers
        self.decoder = Decoder(config, layers, positions=learned)
        self.pointer = (
            Pointer(config.hidden_size, spread=config.initializer_range) if options.copy_attention else None
        )
        shape = (config.vocab_size, config.hidden_size)
        self.own_table = None if options.share_embeddings else nn.Embedding(*shape)
        if self.own_table is not None:
            nn.init.normal_(self.own_table.weight, std=config.initializer_range)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        never_V = torch.arange(config.vocab_size) >= tokenizer.vocab_size
        never_V[torch.from_numpy(tokenizer.special_ids).long()] = True
        never_V[tokenizer.sep_id] = False
        self.register_buffer("never_V", never_V, persistent=False)  # tokens that no text holds
        self.never_V: Tensor

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[ParallelExample]:
        named = columns or {}
        source, target = named.get("source_column"), named.get("target_column")
        return read_parallel(path, source_column=source, target_column=target)

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        return read_parallel(path, source_column=(columns or {}).get("source_column"), targets=False)

    @classmethod
    def answered(cls, example: ParallelExample) -> bool:
        return example.target is not None

    @classmethod
    def unanswered(cls, example: ParallelExample) -> ParallelExample:
        return ParallelExample(example.source)

    @classmethod
    def texts(cls, example: ParallelExample) -> list[str]:
        return [example.source] if example.target is None else [example.source, example.target]

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[ParallelExample],
        options: dict[str, Any],
    ) -> "Seq2Seq":
        check_examples(ParallelExample, examples)
        chosen = from_dict(Seq2SeqOptions, options, where="seq2seq options")
        check_metric(chosen.metric)
        check_known(tokenizer, "source", [example.source for example in examples])
        check_known(tokenizer, "target", [example.target or "" for example in examples])
        marks = full_width_marks(example.target for example in examples if example.target is not None)
        return cls(tokenizer, config, chosen, full_width=marks)

    def settings(self) -> dict[str, Any]:
        return {"full_width": self.full_width, **to_dict(self.options)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Seq2Seq":
        options = {key: value for key, value in settings.items() if key != "full_width"}
        chosen = from_dict(Seq2SeqOptions, options, where="task.json")
        return cls(tokenizer, config, chosen, full_width=settings.get("full_width", ""))

    def encode(self, example: ParallelExample | str) -> list[PairWindow]:  # type: ignore[override]
        """Return one window; a target that is too long is cut off, and its end still stands behind it."""
        example = as_example(ParallelExample, example)
        options = self.options
        (tokens,) = fit_text(
            self.tokenizer, example.source, None, max_length=self.max_length, on_long=options.on_long
        )
        if example.target is None:
            return [PairWindow(tokens, np.zeros(0, np.int64))]
        whole = self.tokenizer.encode(example.target).ids
        target = np.append(whole[: options.max_target_length - 1], self.tokenizer.sep_id).astype(np.int64)
        return [PairWindow(tokens, target, cut=len(target) <= len(whole))]

    def fit_of(self, windows: Sequence[Any]) -> Fit:
        """Say how an example went in; a target that was cut off comes before its source."""
        return "target_cut" if windows[0].cut else super().fit_of(windows)

    def collate(  # type: ignore[override]
        self, windows: Sequence[PairWindow], seed: int, step: int, progress: float
    ) -> tuple[Packed, TeacherForcing]:
        """Pack sources and targets, each with borders of its own; nothing is random."""
        batch = self.pack(windows)  # type: ignore[arg-type]
        return batch, TeacherForcing.of([w.target for w in windows], self.tokenizer.cls_id)

    def table(self, encoder: Encoder) -> Tensor:
        """Return the vectors (V, D) of the target's tokens, which also score the next one."""
        return (encoder.embeddings.token if self.own_table is None else self.own_table).weight

    def loss(self, encoder: Encoder, batch: Packed, targets: TeacherForcing) -> Loss:  # type: ignore[override]
        """Return the cross-entropy of the targets; smoothed while training, else as perplexity asks."""
        memory = Memory(encoder(batch), batch.layout)
        hidden_TD = self.hidden(encoder, memory, targets)
        table_VD = self.table(encoder)
        smoothing = self.options.label_smoothing if self.training else 0.0
        if self.pointer is None:
            total = linear_cross_entropy(hidden_TD, table_VD, self.bias, targets.labels, smoothing=smoothing)
        else:
            log_said_T, mean_T = linear_log_p(hidden_TD, table_VD, self.bias, targets.labels)
            copies = self.pointer.remember(memory, self.copyable(batch.ids))
            log_p_T = self.pointer.log_p(log_said_T, hidden_TD, targets.labels, targets.inputs.layout, copies)
            total = (smoothing - 1) * log_p_T.sum() - smoothing * mean_T.sum()
        return Loss({"loss": total}, targets.counts)

    def hidden(self, encoder: Encoder, memory: Memory, targets: TeacherForcing) -> Tensor:
        """Return the decoder's hidden states (T, D), each of which says the next token."""
        tokens_TD = nn.functional.embedding(targets.inputs.ids, self.table(encoder))
        hidden_TD: Tensor = self.decoder(tokens_TD, targets.inputs.layout, memory)
        return hidden_TD

    def logits(self, hidden_TD: Tensor, table_VD: Tensor) -> Tensor:
        """Return the scores (T, V) of the vocabulary, in float32."""
        scores_TV = hidden_TD @ table_VD.to(hidden_TD.dtype).T + self.bias.to(hidden_TD.dtype)
        return scores_TV.float()

    def copyable(self, ids_U: Tensor) -> Tensor:
        """Return the ids of the sources' tokens, `NO_TOKEN` in place of those that no target may hold."""
        return ids_U.masked_fill(self.never_V[ids_U], NO_TOKEN)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Any]) -> list[Written]:
        """Write a target for each source."""
        table_VD = self.table(encoder)
        how = self.options.generation()
        memory = Memory(encoder(batch), batch.layout)
        pointer = self.pointer
        copies = None if pointer is None else pointer.remember(memory, self.copyable(batch.ids))

        def advance(ids_R: Tensor, writing: Writing) -> tuple[Tensor, Writing]:
            tokens_RD = nn.functional.embedding(ids_R.to(table_VD.device), table_VD)
            hidden_RD, state = self.decoder.step(tokens_RD, writing.state)
            logits_RV = self.logits(hidden_RD, table_VD).masked_fill(self.never_V, -torch.inf)
            after = Writing(state, writing.copies)
            if pointer is None or writing.copies is None:
                return logits_RV.log_softmax(-1), after
            return pointer.mix(logits_RV.softmax(-1), hidden_RD, writing.copies).log(), after

        return generate(
            advance,
            Writing(self.decoder.start(memory, how.num_beams), copies),
            how,
            start=self.tokenizer.cls_id,
            end=self.tokenizer.sep_id,
            limits=[how.max_length] * len(batch.layout.lengths),
        )

    def merge(self, example: Any, windows: Sequence[Any], predictions: Sequence[Written]) -> Generated:
        (written,) = predictions
        return Generated(widened(self.tokenizer.decode(written.ids), self.full_width), written.score)

    def score(self, answers: Sequence[Generated], examples: Sequence[ParallelExample]) -> dict[str, Any]:
        """Return the chosen metric first, then the others; all between 0 and 1."""
        references = [str(example.target) for example in examples]
        return text_scores([answer.target for answer in answers], references, metric=self.options.metric)

    def show(self, example: ParallelExample | str, answer: Generated) -> dict[str, Any]:
        source = example if isinstance(example, str) else example.source
        return {"source": source, "target": answer.target, "score": round(answer.score, 4)}
