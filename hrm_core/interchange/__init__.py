"""What crosses the border: published checkpoints and puzzles in; logits, submissions, exports, reports and rows out."""
