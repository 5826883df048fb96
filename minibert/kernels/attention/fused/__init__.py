"""Attention as GPU kernels in Triton: the kernels, how they are launched, and their torch operators."""
