"""QKV projection of the recurrent attention, with the injections summed in its load and the rotary turn in its store.

Input: state (B, T, D), up to two injections of its shape, weight (3 D, D), tables (T, E); output: residual (B, T, D)
and packed qkv (B, T, 3, H, E), q and k turned. The attention that follows is in `flash`; this kernel's launcher is the
operation's (`launcher.py`), and its backward is matrix products of torch (`autograd.py`).
"""
