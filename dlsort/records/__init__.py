"""Records of the sort benchmark: files of 100-byte records, made and validated.

``gensort`` and ``valsort`` of sortbenchmark.org, which many sorts are measured by:
:mod:`dlsort.records.generate` makes the same records, :mod:`dlsort.records.validate` says the
same of them. The loops are :mod:`dlsort_kernels.gensort` and :mod:`dlsort_kernels.valsort`.
"""
