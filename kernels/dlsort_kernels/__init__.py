"""Numpy in, numpy out: the compiled loops of dlsort.

::

    source       row_ends     where the rows of comma-separated text end
                 page_text    how long the texts of a Parquet page are
                 thrift_bytes   Thrift's compact protocol
                 parquet_bytes  whether footers are as most are
                 parquet_pages  what pages unpack to, by their headers
                 parquet_join   small files made one
                 parquet_pick   single values of pages
    key parts    words        values as words: unsigned integers that sort alike
                 prefix       the same for variable-length values
                 text_code    text as words of more than 8 bytes
                 encode       variable-length values of few kinds as numbers
                 lead         several words' bits packed into the first word of a key
                 word_source  where a sort gets its words from, block by block
    partition    classify     how many splitters lie below each word
                 ties         rows that tie with a splitter
                 by_partition rows grouped by partition
    local sort   sort         the stable order of words, and where they tie
                 natural_runs input that is in order, or is a few runs that are
                 merge_runs   such runs merged
                 counting     words of few values
                 learned      which group of the order a word belongs to
                 learned_groups  rows in the groups of the order
                 spread       rows brought to their groups
                 radix        each group put in order, in the cache
                 touch_up     tied runs sorted by their next word
                 refine       ties sorted by the next word
                 refine_bytes ties sorted by variable-length values
                 lowest       the rows that may be among the first
    payload      scatter      columns brought to the groups of a sort
                 slots        the same for short values
                 gather       columns in a new order
    proof        hash         a checksum of rows
                 disorder     whether words are in order
    machine code jit          what makes a function a kernel
                 declare      what is to be compiled, for which kernel_types
                 build        the compiler, which knows some more instructions
                 objects      where the code lies, and how it is loaded
"""

from dlsort_kernels.by_partition import group_rows
from dlsort_kernels.classify import Cells, build_cells, classify
from dlsort_kernels.disorder import compare_bytes, compare_words, first_descent
from dlsort_kernels.encode import encode_bytes, estimate_distinct
from dlsort_kernels.gather import (
    gather_bits,
    gather_bytes,
    gather_bytes_into,
    gather_fixed,
    gather_lists,
    unpack_bits,
)
from dlsort_kernels.hash import (
    fold,
    hash_bytes,
    hash_limbs,
    hash_lists,
    hash_lookup,
    hash_raw,
    hash_words,
)
from dlsort_kernels.jit import compiled, warm
from dlsort_kernels.lead import add_code
from dlsort_kernels.lowest import lowest_rows
from dlsort_kernels.memory import empty, use_allocator
from dlsort_kernels.page_text import longest_text, shared_bytes_of
from dlsort_kernels.parquet_bytes import Outline, outline, sound_chunks
from dlsort_kernels.parquet_join import join_files
from dlsort_kernels.parquet_pages import chunk_sizes, page_sizes
from dlsort_kernels.parquet_pick import (
    copy_values,
    delta_values,
    find_pages,
    pick_values,
    text_ends,
)
from dlsort_kernels.prefix import common_prefix, prefix_words
from dlsort_kernels.refine import refine, run_rows
from dlsort_kernels.refine_bytes import refine_bytes
from dlsort_kernels.row_ends import last_row_end
from dlsort_kernels.scatter import (
    Scratch,
    Spread,
    places_of,
    rows_of,
    scatter_bytes,
    scatter_fixed,
)
from dlsort_kernels.slots import gather_slots, scatter_slots, slot_bytes
from dlsort_kernels.sort import sort_source
from dlsort_kernels.spread import word_range
from dlsort_kernels.text_code import code_text, fit_text_code
from dlsort_kernels.threads import SERIAL, Pool, batches, chunks, pool, threads_for
from dlsort_kernels.ties import settle_ties, tied_rows
from dlsort_kernels.word_source import ArrayWords, WordSource
from dlsort_kernels.words import (
    decimal_words,
    float_words,
    float_words_into,
    int_words,
    limb_words,
)

__all__ = [
    "SERIAL",
    "ArrayWords",
    "Cells",
    "Outline",
    "Pool",
    "Scratch",
    "Spread",
    "WordSource",
    "add_code",
    "batches",
    "build_cells",
    "chunk_sizes",
    "chunks",
    "classify",
    "code_text",
    "common_prefix",
    "compare_bytes",
    "compare_words",
    "compiled",
    "copy_values",
    "decimal_words",
    "delta_values",
    "empty",
    "encode_bytes",
    "estimate_distinct",
    "find_pages",
    "first_descent",
    "fit_text_code",
    "float_words",
    "float_words_into",
    "fold",
    "gather_bits",
    "gather_bytes",
    "gather_bytes_into",
    "gather_fixed",
    "gather_lists",
    "gather_slots",
    "group_rows",
    "hash_bytes",
    "hash_limbs",
    "hash_lists",
    "hash_lookup",
    "hash_raw",
    "hash_words",
    "int_words",
    "join_files",
    "last_row_end",
    "limb_words",
    "longest_text",
    "lowest_rows",
    "outline",
    "page_sizes",
    "pick_values",
    "places_of",
    "pool",
    "prefix_words",
    "refine",
    "refine_bytes",
    "rows_of",
    "run_rows",
    "scatter_bytes",
    "scatter_fixed",
    "scatter_slots",
    "settle_ties",
    "shared_bytes_of",
    "slot_bytes",
    "sort_source",
    "sound_chunks",
    "text_ends",
    "threads_for",
    "tied_rows",
    "unpack_bits",
    "use_allocator",
    "warm",
    "word_range",
]
