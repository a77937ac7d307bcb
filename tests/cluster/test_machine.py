from dask.system import cpu_count
from distributed.system import memory_limit

from dlsort_cluster.machine import machine_cores, machine_memory_bytes


def test_the_machines_memory_is_as_dask_reads_it():
    assert machine_memory_bytes() == memory_limit()


def test_the_cores_are_as_dask_counts_them():
    assert machine_cores() == cpu_count()
