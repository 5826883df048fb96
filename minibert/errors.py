"""The errors that a person can cause and mend, and the end of another process.

Every other exception is a fault of ours. The command line prints these without a traceback.
"""


class InputError(ValueError):
    """Something that was given cannot be used: what came, what was wanted, what to do."""


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class ProcessLost(RuntimeError):
    """Another process of the run has ended, so this one cannot go on; the message is what it said."""
