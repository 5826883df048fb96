"""The folder that a run leaves behind, and the run that fills it.

OUTPUT/                 config.json, model.safetensors, task.json, tokenizer files, manifest.json,
                        run.json (what would repeat the run), log.jsonl (what happened)
OUTPUT/checkpoint-500/  the model and the run's state, to go on from
OUTPUT/.minibert        the mark of our folders; a running process holds its lock
"""

from minibert.checkpoint import MARK
from minibert.output.checkpoints import checkpoints, newest_whole, nothing_left, publish_checkpoint
from minibert.output.drive import Drive
from minibert.output.folder import allowed, check_free, claimed, publish_model
from minibert.output.lock import locked, replaced
from minibert.output.record import RECORD, describe_data, is_done, is_finished, start_record

__all__ = [
    "MARK",
    "RECORD",
    "Drive",
    "allowed",
    "check_free",
    "checkpoints",
    "claimed",
    "describe_data",
    "is_done",
    "is_finished",
    "locked",
    "newest_whole",
    "nothing_left",
    "publish_checkpoint",
    "publish_model",
    "replaced",
    "start_record",
]
