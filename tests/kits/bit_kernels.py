"""A kernel that shows what bit tricks give inside of kernels."""

from dlsort_kernels import kernel_types as types
from dlsort_kernels.bits import bit_length, float_of
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes


@kernel(types.void(reads(types.uint64), writes(types.uint64), writes(types.float64)))
def as_kernels_see_them(words, lengths, values):
    for i in range(len(words)):
        lengths[i] = bit_length(words[i])
        values[i] = float_of(words[i])
