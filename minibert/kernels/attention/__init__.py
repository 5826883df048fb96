"""Attention over packed tokens: one door (`attend`) and the implementations behind it."""

from minibert.kernels.attention.choose import Choice, Machine, Request, attend, choose

__all__ = ["Choice", "Machine", "Request", "attend", "choose"]
