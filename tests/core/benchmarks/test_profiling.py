"""Names and shares of the kernels of a step."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hrm_core.benchmarks.profiling import device_times, kernel_rows, short_name


@pytest.mark.parametrize(
    ("raw", "short"),
    [
        ("attention_forward_kernel", "attention_forward_kernel"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, "
            "std::array<char*, 3>>(int, at::native::CUDAFunctor_add<float>, std::array<char*, 3>)",
            "vectorized_elementwise_kernel CUDAFunctor_add",
        ),
        (
            "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, 1, 64, 64>(float*)",
            "CatArrayBatchedCopy",
        ),
        ("nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT", "nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT"),
        ("Memset (Device)", "Memset"),
    ],
)
def test_names_without_templates(raw: str, short: str) -> None:
    assert short_name(raw) == short


def test_kernels_of_one_name_are_added_up_and_the_longest_comes_first() -> None:
    times = [("f<1>(int)", 300.0, 6), ("g", 3000.0, 3), ("f<2>(int)", 2700.0, 3)]
    assert kernel_rows(times, 3) == [
        {"kernel": "f", "ms": 1.0, "calls": 3.0, "share": 0.5},
        {"kernel": "g", "ms": 1.0, "calls": 1.0, "share": 0.5},
    ]
    assert kernel_rows([], 3) == []


def test_what_runs_on_the_host_is_no_kernel() -> None:
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        torch.ones(3).add(1)
    assert profiled.key_averages()
    assert device_times(profiled) == []
