"""The flags of commands that train a model which is there already."""

from minibert.commands.flags import add_fields, add_settings_flags
from minibert.commands.parser import Parser
from minibert.finetune import Settings

NOT_OF_A_RUN = ("vocab_size", "from_scratch", "reinit_layers")  # they make a model, and this one is made


def add_further_training(parser: Parser) -> None:
    """Add the data and training flags that make sense for it, and --set and --config."""
    defaults = Settings.of({})
    add_fields(parser, "data", defaults.data, group="data", without=NOT_OF_A_RUN)
    add_fields(parser, "training", defaults.train, group="train", without=("fsdp",))
    add_settings_flags(parser)
