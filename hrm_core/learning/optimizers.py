"""Updates of the trunk over flat buffers: AdamW, Adam-atan2, Lion and Muon.

Learning room: values and gradients (N,) fp32 are changed in place. Everything that varies is a 0-d tensor (`lr`,
`keep`, the step count), so that an update never asks the host. `keep` is 1, or 0 where the step is to leave no trace
(non-finite gradients): moments, count and values stay as they were. AdamW, Adam-atan2 and Lion with their sources are
in `triton_kernels/fused_update`. Muon: Jordan et al. 2024; learning rate matched to AdamW's RMS as in Liu et al. 2025
(2502.16982, sec. 2.2). torch.optim.Muon wants one nn.Parameter a matrix and a learning rate on the host; ours is
checked against it in the tests.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from hrm_core.learning.flat import FlatParameters, MatrixSpan, gather_matrices
from hrm_core.recipe.learning import OptimizerConfig
from triton_kernels.fused_update import Averaging, Buffers, Controls, Measure, Noise, Rule, fused_update
from triton_kernels.fused_update.reference import CPU_CHUNK, average_weight, clean, normal

MUON_MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
# Keeps the noise of Muon's matrices apart from that of the rest, whose places count from 0 too.
MATRIX_SEED = 0x5BD1E995
# Numbers that get their noise at a time on a GPU: the draws take some dozens of bytes each.
NOISE_CHUNK = 1 << 22


def product_dtype(device: torch.device) -> torch.dtype:
    """bf16, as Muon is published, where products of it are fast; fp32 on a CPU that would emulate them.

    Without avx512_bf16 five steps over the demonstration's matrices took most of an update's second.
    """
    fast = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def orthogonalize(matrices: Tensor) -> Tensor:
    """(K, R, C) -> nearest semi-orthogonal matrices, approximately: five quintic Newton-Schulz steps."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.to(product_dtype(matrices.device))
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.transpose(-1, -2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.transpose(-1, -2) if tall else x).float()


def add_noise(gradients: Tensor, noise: Noise, count: Tensor) -> None:
    """Adds the noise of step `count` (0-d) to (N,) gradients, in place, piece by piece."""
    span = CPU_CHUNK if gradients.device.type == "cpu" else NOISE_CHUNK
    for start in range(0, gradients.numel(), span):
        part = gradients[start : start + span]
        part.add_(normal(noise.seed, count, start, part.numel()).mul_(noise.sigma))


@final
class TrunkOptimizer:
    """Optimizer of the flat trunk, for one OptimizerConfig. `update` reads and writes `flat` in place.

    It can become Lion on the way, and itself again (`become_lion`, `go_back`); its buffers keep shape and place.
    """

    def __init__(self, config: OptimizerConfig, flat: FlatParameters) -> None:
        self.config = config
        self.flat = flat
        self.split = flat.num_matrix_numbers if config.kind == "muon" else 0
        rest = flat.values.numel() - self.split
        device = flat.values.device
        self.first = torch.zeros(rest, device=device)
        self.second = torch.zeros(0 if config.kind == "lion" else rest, device=device)
        self.momentum = torch.zeros(self.split, device=device)
        self.count = torch.zeros((), device=device)
        self.groups = flat.matrices_by_shape() if self.split else {}
        self.first_rule = Rule("adamw" if config.kind == "muon" else config.kind, config.betas, config.weight_decay)
        self.rule = self.first_rule
        self.rate: Tensor | None = None  # 0-d factor of lr, once it has become Lion
        self.unused = torch.zeros(0, device=device)

    def become_lion(self, betas: tuple[float, float], weight_decay: float, rate: Tensor) -> None:
        """Lion for every number from the next step on, Muon's matrices too; `rate`: 0-d factor of its learning rate.

        Whoever has captured a step captures it anew. Moments are as they were: `forget`, or load a state.
        """
        self.rule, self.rate = Rule("lion", betas, weight_decay), rate

    def go_back(self) -> None:
        """The reverse of `become_lion`."""
        self.rule, self.rate = self.first_rule, None

    def forget(self) -> None:
        """Zeroes the moments. The count goes on: Lion has no use for it, and it tells the noise of steps apart."""
        for moment in (self.first, self.second, self.momentum):
            moment.zero_()

    def update(self, lr: Tensor, keep: Tensor) -> None:
        """One step. lr: 0-d, already scheduled; keep: 0-d, 1 or 0. Gradients are expected to be finite, and stay."""
        self._update(lr, keep, keep, None, clear=False)

    def clip_and_update(
        self, lr: Tensor, measured: Measure, average: Averaging | None, noise: Noise | None = None
    ) -> None:
        """One step in as few passes as there can be: gradients scaled as measured, noise, moments, values, then the
        average of the values; gradients are zero afterwards."""
        self._update(lr, measured.keep, measured.scale, average, clear=True, noise=noise)

    def _update(
        self,
        lr: Tensor,
        keep: Tensor,
        scale: Tensor,
        average: Averaging | None,
        clear: bool,
        noise: Noise | None = None,
    ) -> None:
        self.count += keep
        controls = Controls(lr if self.rate is None else lr * self.rate, keep, scale, self.count)
        values, gradients = self.flat.values[self.split :], self.flat.gradients[self.split :]
        rest = Buffers(values, gradients, self.first, self.second)
        rest_average = average and average.part(self.split, None)
        fused_update(rest, controls, self.rule, noise=noise, average=rest_average, clear=clear)
        if not self.groups:
            return
        values, gradients = self.flat.values[: self.split], self.flat.gradients[: self.split]
        matrix_average = average and average.part(0, self.split)
        matrix_noise = noise and noise._replace(seed=noise.seed ^ MATRIX_SEED)
        if self.rate is not None:
            matrices = Buffers(values, gradients, self.momentum, self.unused)
            fused_update(matrices, controls, self.rule, noise=matrix_noise, average=matrix_average, clear=clear)
            return
        cleaned = clean(gradients, scale)
        if matrix_noise is not None:
            add_noise(cleaned, matrix_noise, self.count)
        matrix_rate = lr * keep * ((self.config.muon_lr or self.config.lr) / self.config.lr)
        self._update_matrices(cleaned, matrix_rate, keep)
        if matrix_average is not None:
            matrix_average.values.lerp_(values, average_weight(matrix_average))
        if clear:
            gradients.zero_()

    def _update_matrices(self, gradients: Tensor, rate: Tensor, keep: Tensor) -> None:
        self.momentum.lerp_(gradients, (1.0 - MUON_MOMENTUM) * keep)
        nesterov = torch.lerp(gradients, self.momentum, MUON_MOMENTUM)
        for (rows, columns), spans in self.groups.items():
            direction = orthogonalize(gather_matrices(nesterov, spans))
            matched = rate * (0.2 * max(rows, columns) ** 0.5)
            self._apply(spans, direction, rate, matched)

    def _apply(self, spans: list[MatrixSpan], direction: Tensor, rate: Tensor, matched: Tensor) -> None:
        decay = 1.0 - rate * self.config.weight_decay
        steps = direction * matched
        for number, span in enumerate(spans):
            view = self.flat.values[span.start : span.start + span.rows * span.columns]
            view.mul_(decay).sub_(steps[number].flatten())

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, by name."""
        return {"first": self.first, "second": self.second, "momentum": self.momentum, "count": self.count}
