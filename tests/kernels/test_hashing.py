"""`hash32` against the same arithmetic in plain Python integers, and how even its words are."""

from __future__ import annotations

import pytest
import torch

from triton_kernels.hashing import GOLDEN, MASK, hash32, mix32, uniform


def mix(value: int) -> int:
    value &= MASK
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
    return value ^ (value >> 16)


def plain_hash(seed: int, *parts: int) -> int:
    state = mix(seed + GOLDEN)
    for part in parts:
        state = mix(state * 31 + part + GOLDEN)
    return state


@pytest.mark.parametrize("parts", [(), (0,), (1, 2), (2, 1), (2**32 - 1, 2**32 - 1), (2**40, 7), (-1, -5)])
def test_equals_plain_integers_whether_parts_are_integers_or_tensors(parts: tuple[int, ...]) -> None:
    for seed in (0, 1, 12345):
        expected = plain_hash(seed, *parts)
        assert int(hash32(seed, *parts)) == expected
        assert int(hash32(seed, *(torch.tensor(part) for part in parts))) == expected


def test_order_and_seed_matter() -> None:
    words = {int(hash32(*parts)) for parts in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (0, 1), (0, 1, 2, 0)]}
    assert len(words) == 6


def test_shapes_broadcast_and_words_are_32_bits() -> None:
    words = hash32(3, torch.arange(50)[:, None], 9, torch.arange(7))
    assert words.shape == (50, 7) and words.dtype == torch.int64
    assert int(words.min()) >= 0 and int(words.max()) <= MASK
    assert len(words.unique()) == 350


def test_mixing_is_a_bijection_on_a_block_of_words() -> None:
    block = torch.arange(1 << 16) + (1 << 31)
    assert len(mix32(block).unique()) == len(block)


def test_uniform_is_below_one_and_even() -> None:
    assert float(uniform(torch.tensor([MASK]))) < 1.0 and float(uniform(torch.tensor([0]))) == 0.0
    counts = torch.histc(uniform(hash32(0, torch.arange(100_000))), 20, 0, 1)
    chi_square = float(((counts - 5000) ** 2 / 5000).sum())
    assert chi_square < 45  # 19 degrees of freedom: exceeded once in 1,500 by chance, and the words are fixed


def test_single_bits_of_consecutive_counters_are_fair_and_uncorrelated() -> None:
    words = hash32(7, torch.arange(20_000))
    for bit in range(32):
        coin = (words >> bit & 1).to(torch.float64)
        assert abs(float(coin.mean()) - 0.5) < 0.02
        assert abs(float((coin[1:] - 0.5) @ (coin[:-1] - 0.5)) / 20_000 * 4) < 0.04
