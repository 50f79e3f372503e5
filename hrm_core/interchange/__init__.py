"""What crosses the border: published checkpoints in, tokens in and logits out."""
