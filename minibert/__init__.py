"""minibert: Transformer encoders from scratch, in plain PyTorch.

>>> import minibert as mb
>>> encoder = mb.Encoder(mb.EncoderConfig.preset("modern-tiny", vocab_size=1000))
>>> encoder(mb.Packed.of([[7, 4, 9], [5], [8, 6]])).shape
torch.Size([6, 128])
"""

from minibert.checkup import doctor
from minibert.data.corpus import Corpus
from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
    IntentExample,
    ParallelExample,
    QuestionExample,
    RelationExample,
    SearchExample,
    TaggedExample,
    TextExample,
)
from minibert.embedding.loading import load_encoder
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.few_labels.compare import few_shot, few_shot_model
from minibert.few_labels.zero_shot import zero_shot
from minibert.finetune import finetune
from minibert.interop.export import save_pretrained
from minibert.interop.graphs import export
from minibert.interop.opening import load
from minibert.kernels.attention import attend
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed
from minibert.pretrain import pretrain
from minibert.tasks.extract import extract
from minibert.tasks.model import Model
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run, train
from minibert.version import VERSION as _VERSION

__version__ = _VERSION

__all__ = [
    "ChoiceExample",
    "Corpus",
    "Encoder",
    "EncoderConfig",
    "GoldAnswer",
    "InputError",
    "IntentExample",
    "Layout",
    "Model",
    "Packed",
    "ParallelExample",
    "QuestionExample",
    "RelationExample",
    "Run",
    "SearchExample",
    "TaggedExample",
    "TextEncoder",
    "TextExample",
    "TrainingConfig",
    "attend",
    "doctor",
    "export",
    "extract",
    "few_shot",
    "few_shot_model",
    "finetune",
    "load",
    "load_encoder",
    "load_tokenizer",
    "pretrain",
    "save_pretrained",
    "train",
    "train_sentencepiece",
    "zero_shot",
]
