"""The command line: what becomes of a line that a person types, and of its errors.

Progress goes to stderr, results to stdout; the last line there is one JSON object. The exit status is 0, or 1
where what was checked does not hold ("ok" is false) or another process of the run has failed, or 2 for input
that cannot be used, or 130 after Ctrl-C. Each command is one file of `commands/`: what can be typed after it,
and what it does.
"""

import errno
import io
import json
import os
import sys
from collections.abc import Sequence

from minibert.commands.arguments import parse
from minibert.errors import InputError, MissingExtra, ProcessLost

NOT_OK, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    >>> main(["fill-mask", "The [MASK] of a list."])  # the model is missing, and stderr says so
    2
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # half a character in a text does not cost the rest
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        result = args.command(args)
        if result is not None:
            print(json.dumps(result, ensure_ascii=False))
        sys.stdout.flush()
    except (InputError, MissingExtra) as error:
        return complain(str(error))
    except ProcessLost as error:
        return complain(str(error), NOT_OK)
    except KeyboardInterrupt:
        print("minibert: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            saved = "what was saved before is intact; make room, then go on with --resume"
            return complain(f"the disk is full: {error}; {saved}")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return complain(f"not allowed: {error}")
        if error.filename is not None:
            return complain(f"this path cannot be used: {error}")
        raise
    return NOT_OK if result is not None and result.get("ok") is False else 0


def complain(message: str, status: int = BAD_INPUT) -> int:
    """Print an error for a person and return the exit status that goes with it."""
    print(f"minibert: error: {message}", file=sys.stderr)
    return status
