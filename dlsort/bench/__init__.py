"""Comparisons with other engines, on the user's own machine or cluster, and data.

What a reader meets, in this order::

    door.py       the command's plan: suites, races, results so far, the page
    suites/       what is sorted, and by whom: sort, terasort, frames
    rounds.py     engines take turns: a cold round, then warm ones; each result is checked
    engines.py    the engines that sort Parquet, each in a process of its own
    verify.py     row count, order and checksum of a result
    watch.py      processor, memory, disk and network while an engine works
    figures.py    medians with spread, ratios, rates, dollars; what dlsort loses
    bounds.py     what each phase of dlsort's was bound by, by a stated rule
    hosts.py      the hardware and the versions
    published.py  what others have published, each with its source and arithmetic
    page.py       all of it on one page, made of the JSON file alone

``benchmarks/`` of the repository shares engines, rounds, checks and watching. Nothing of dlsort
imports this package but the command.
"""
