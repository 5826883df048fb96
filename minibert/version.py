"""The version that is installed."""

from importlib import metadata

try:
    VERSION = metadata.version("minibert-encoder")
except metadata.PackageNotFoundError:
    VERSION = "unknown"  # a checkout that is not installed
