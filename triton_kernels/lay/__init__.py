"""Lay pairs on the canvas of a lane: gather, dihedral, colours, translation, tokens. Runs the reference for now."""

from __future__ import annotations

from triton_kernels.lay.reference import EOS, FIRST_COLOR, PAD, lay

__all__ = ["EOS", "FIRST_COLOR", "PAD", "lay"]
