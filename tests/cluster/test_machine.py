from distributed.system import memory_limit

from dlsort_cluster.machine import machine_memory_bytes


def test_the_machines_memory_is_as_dask_reads_it():
    assert machine_memory_bytes() == memory_limit()
