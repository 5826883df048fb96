"""The two errors that a person can cause and mend.

Every other exception is a fault of ours. The command line prints these two without a traceback.
"""


class InputError(ValueError):
    """Something that was given cannot be used: what came, what was wanted, what to do."""


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it."""
