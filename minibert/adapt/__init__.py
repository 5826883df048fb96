"""Adapting an encoder without changing it: a few new weights beside it, or a few of its own.

The built encoder is changed, never its source: an adapter is a child, named `adapter`, of the layer that it
listens to, and a hook adds what it says to what the layer says. So every weight of the base keeps its name.
"""
