"""Flash attention of `recurrent_attention`: what follows its projection, forward and backward, as Triton kernels.

Not public: the operation around it calls `launcher.attention_forward` and `launcher.attention_backward`.
"""
