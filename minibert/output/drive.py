"""Driving a run to its end: log, validate, save; and whatever stops it, what was done is not lost.

Pretraining and fine-tuning differ in what a validation is and in which weights are the result, the last or
the best. All else is here, once: where a run is taken up again, what a checkpoint holds, what becomes of
Ctrl-C, of the end of an allocation, of a loss that is not a number.

Of several processes each drives its own run to the same end; the first alone writes files.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minibert.checkpoint import replace_json
from minibert.distributed.sharding import is_sharded, whole
from minibert.errors import InputError, ProcessLost
from minibert.output.checkpoints import newest_whole, publish_checkpoint
from minibert.output.folder import publish_model
from minibert.output.record import (
    RECORD,
    changed_before,
    changed_settings,
    refuse_changes,
    refuse_other_shape,
)
from minibert.output.signals import Signals, Stopped
from minibert.tasks.model import load_weights
from minibert.training.best import Best
from minibert.training.journal import Journal, Silence
from minibert.training.loop import NotFinite, Run
from minibert.training.state import load_state


class Drive:
    """A run on its way, and what has to be kept of it.

    record    what run.json says of its beginning
    validate  returns scores and leaves the model as it is; None where there is nothing to validate on
    every     the number of steps between two validations
    best      keeps the best weights, which are then the result; None takes the last
    last_word says what looks wrong with the losses of a run that has ended; None where nothing does
    """

    def __init__(
        self,
        run: Run,
        output: Path,
        *,
        record: dict[str, Any],
        validate: Callable[[], dict[str, Any]] | None,
        every: Callable[[], int],
        best: Best | None = None,
        last_word: Callable[[list[float]], str | None] = lambda losses: None,
    ) -> None:
        self.run, self.output, self.record = run, output, record
        self.validate, self.every, self.best, self.last_word = validate, every, best, last_word
        self.losses: list[float] = []  # of this process
        self.elapsed = 0.0  # seconds before this process, in which the run was on its way
        self.pending = False  # a validation after the last step is still to come
        self.checked = 0  # the step of the last validation
        self.writes = run.ranks.first
        self.signals = Signals(run.ranks)

    def resume(self) -> bool:
        """Go on from the newest checkpoint that is whole; return False where nothing was saved."""
        changes = refuse_changes(self.output, self.record)
        found = newest_whole(self.output)
        if found is None:
            print(f"  nothing was saved in {self.output}: the run starts afresh", file=sys.stderr)
            return False
        refuse_other_shape(found, self.run.model.encoder.config.to_dict())
        try:
            load_weights(self.run.model, found)
            kept = load_state(self.run, found)
        except InputError as error:
            if not changes:
                raise
            told = f"{found} is of a run with other settings and cannot be gone on from: {'; '.join(changes)}"
            raise InputError(told) from error
        self.elapsed, self.pending, self.checked = kept["elapsed"], kept["pending"], kept["checked"]
        if self.best is not None:
            self.best.load_state_dict(kept["best"])
            self._stop_early(self.best)
        for line in (f"going on from {found}", *changes):
            print(f"  {line}", file=sys.stderr)
        self._remember_other_settings()
        if self.run.done >= self.run.total:
            told = f"{self.run.done:,} steps are done and {self.run.total:,} were asked for"
            print(f"  {told}: nothing is left to train", file=sys.stderr)
        return True

    def _remember_other_settings(self) -> None:
        """Keep in the record at which steps the run went on with settings that are not those of before."""
        if not (self.output / RECORD).is_file():  # a checkpoint was brought alone
            return
        others = changed_before(self.output)
        changes = changed_settings(self.output, self.record["settings"], deciding=True)
        if changes:
            others = [*others, {"step": self.run.done, "changes": changes}]
        if others:
            self.record = {**self.record, "taken_up": others}

    def follow(self, *, report_to: str, progress: bool) -> None:
        """Drive the run to its end and leave model and record in the output folder.

        Raises InputError where the loss was not finite; KeyboardInterrupt or SystemExit (128 + the signal's
        number) where the run was asked to stop, after everything was saved.
        """
        with self.signals, self._journal(report_to, progress) as journal:
            try:
                self._go(journal)
            except Stopped:
                self._save(journal)
                self._finish(journal, "stopped")
            except ProcessLost:
                if not is_sharded(self.run.model):  # else a piece is lost with the process that had it
                    self._save(journal)  # no step was half done
                raise
            except NotFinite as error:
                place = self._keep_batch(self.run.done, self.run.total, str(error))
                self._save(journal)
                self._finish(journal, "not finite")
                raise InputError(
                    f"{error}; the weights before that step are in {self.output}, the batch in {place}"
                ) from error
            else:
                self._finish(journal, "finished")
                self.run.ranks.gather(None)  # the files are there for all
                return
        print(
            f"\nstopped at step {self.run.done}; everything is in {self.output}; go on with --resume",
            file=sys.stderr,
        )
        self.run.ranks.gather(None)  # whoever left earlier would be taken for one that failed
        self.signals.leave()

    def _journal(self, report_to: str, progress: bool) -> Journal | Silence:
        """Begin the record and the log of this process's part of the run."""
        if not self.writes:
            return Silence()
        replace_json(self.output / RECORD, {**self.record, "state": "running"})
        return Journal(
            self.output,
            self.record.get("task", self.record["kind"]),
            every=self.run.config.logging_steps,
            report_to=report_to,
            progress=progress,
            done=self.run.done,
            elapsed=self.elapsed,
            validated=not self.pending,
        )

    def _go(self, journal: Journal | Silence) -> None:
        if self.pending:
            self._validate(journal)
        for step in self.run:
            journal.step(step)
            if step.skipped:
                self._keep_batch(step.index - 1, step.total, step.skipped)
            else:
                self.losses.append(step.loss)
            is_last = step.index >= self.run.total
            self.pending = self.validate is not None and (is_last or step.index % self.every() == 0)
            self._validate(journal)
            saves = self.run.config.save_steps
            if saves and step.index % saves == 0 and not is_last:
                self._save(journal)
            if not is_last and not self.run.stopped:
                self.signals.look()
        self.pending = self.validate is not None and self.checked < self.run.done  # the clock ended it early
        self._validate(journal)

    def _validate(self, journal: Journal | Silence) -> None:
        """Make up for the pending validation; a signal breaks it off, and then it stays pending."""
        if self.validate is None or not self.pending:
            return
        with self.run.average.applied():  # what is kept is the mean of the weights, where there is one
            with self.signals.breaking_off():
                scores = self.validate()
            journal.write("validation", self.run.done, scores)
            if self.best is not None:
                self.best.offer(self.run.model, scores, self.run.done)
                self._stop_early(self.best)
        self.pending, self.checked = False, self.run.done

    def _stop_early(self, best: Best) -> None:
        patience = self.run.config.early_stopping_patience
        if patience and best.waited >= patience:
            self.run.stop()

    def _keep_batch(self, step: int, total: int, reason: str) -> Path:
        """Write the token ids of a bad batch, to be looked at; a batch is a function of its step's number."""
        path = self.output / "bad-batches" / f"step-{step + 1}.json"
        if not self.writes:
            return path
        micro_batches = self.run.batches.at(step, step / total)
        ids = [[part.tolist() for part in batch.layout.split(batch.ids)] for batch, _ in micro_batches]
        epoch, place = divmod(step, self.run.batches.steps_per_epoch)
        where = {"step": step + 1, "epoch": epoch + 1, "batch_of_epoch": place + 1}
        path.parent.mkdir(exist_ok=True)
        replace_json(path, {**where, "reason": reason, "micro_batches": ids})
        return path

    def _gathered(self) -> dict[str, Any] | None:
        """Return weights and state of a model in pieces, for the first process; None of a whole one."""
        if not is_sharded(self.run.model):
            return None
        pieces = {"weights": self.run.model.state_dict(), "run": self.run.state_dict()}
        gathered: dict[str, Any] = whole(pieces, keep=self.writes)
        return gathered

    def _save(self, journal: Journal | Silence) -> None:
        state = self._gathered()
        if not self.writes:
            return
        best = None if self.best is None else self.best.state_dict()
        kept = {"best": best, "pending": self.pending, "checked": self.checked, "elapsed": journal.elapsed}
        publish_checkpoint(self.run, self.output, beside=kept, state=state)

    def _finish(self, journal: Journal | Silence, state: str) -> None:
        """Leave the model and the record of its run in the output folder."""
        self.run.average.settle()
        if self.best is not None:
            self.best.restore(self.run.model)
            self.run.model.task.settle(self.best.scores)
        gathered = self._gathered()
        if not self.writes:
            return
        publish_model(self.run.model, self.output, weights=gathered and gathered["weights"])
        end = {"plan": self.run.plan.entries, "steps_done": self.run.done, "seconds": journal.elapsed}
        end["warning"] = self.last_word(self.losses) if state == "finished" else None
        if end["warning"]:
            tqdm.write(f"warning: {end['warning']}", file=sys.stderr)  # on a line beside the bar
        best = {} if self.best is None else {"best": self.best.record}
        replace_json(self.output / RECORD, {**self.record, "state": state, **end, **best})
