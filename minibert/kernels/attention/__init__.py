"""Attention over packed tokens: one door and the implementations behind it."""

from minibert.kernels.attention.choose import Choice, choose
from minibert.kernels.attention.door import attend, attend_packed
from minibert.kernels.attention.request import Machine, Request

__all__ = ["Choice", "Machine", "Request", "attend", "attend_packed", "choose"]
