from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack

import dask
import pytest
from distributed import default_client

from dlsort_cluster.clusters import reach
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import SchedulerUnreachableError, connect
from dlsort_cluster.exchange import SpillError
from patience import PATIENCE_S

# Dask keeps this one for the life of the process.
LASTING = "Dask-Offload"


def threads():
    return {t for t in threading.enumerate() if not t.name.startswith(LASTING)}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    """Prove that a test leaves no thread, process, file, client or setting behind."""
    before = threads(), dask.config.get("distributed.worker.memory.target")
    yield
    for thread in threads() - before[0]:
        thread.join(PATIENCE_S)  # Dask tells some to end and does not wait for them
        assert not thread.is_alive()
    assert dask.config.get("distributed.worker.memory.target") == before[1]
    assert multiprocessing.active_children() == []
    assert list(tmp_path.glob("dlsort-*")) == []
    with pytest.raises(ValueError, match="No clients found"):
        default_client()


def test_the_default_is_one_worker_in_this_process(tmp_path):
    with connect(threads=3, temp_dir=str(tmp_path)) as client:
        with pytest.raises(ValueError, match="No clients found"):
            default_client()  # what the caller has current stays so
        assert client.submit(os.getpid).result() == os.getpid()
        assert list(client.nthreads().values()) == [3]
        assert client.scheduler.address.startswith("inproc://")


def test_memory_is_counted_but_not_policed():
    with connect(threads=1, memory_bytes=123_456_789) as client:
        (limit,) = client.run(memory_limits).values()
    assert limit == (123_456_789, False, False, False)


def memory_limits(dask_worker):
    manager = dask_worker.memory_manager
    return (
        manager.memory_limit,
        manager.memory_target_fraction,
        manager.memory_spill_fraction,
        manager.memory_pause_fraction,
    )


def test_worker_processes_share_threads_and_memory(tmp_path):
    with connect(workers=2, threads=4, memory_bytes=2**31, temp_dir=str(tmp_path)) as client:
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert list(client.nthreads().values()) == [2, 2]
        assert set(client.run(memory_limits).values()) == {(2**30, False, False, False)}
        folders = client.run(lambda dask_worker: dask_worker.local_directory).values()
        assert all(folder.startswith(str(tmp_path)) for folder in folders)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("workers", [None, 1])
def test_an_error_inside_takes_the_cluster_down(tmp_path, workers):
    with (
        pytest.raises(KeyboardInterrupt),
        connect(workers=workers, threads=1, temp_dir=str(tmp_path)),
    ):
        raise KeyboardInterrupt


def test_a_missing_temp_dir_is_told_in_words(tmp_path):
    with (
        pytest.raises(SpillError, match=r"gone: No such file or directory\. Set temporary-dir"),
        connect(temp_dir=str(tmp_path / "gone")),
    ):
        pass


def test_a_running_cluster_is_joined_and_left_running():
    with connect(workers=1, threads=1) as owner:
        address = owner.scheduler.address
        with connect(scheduler=address) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        assert owner.submit(sum, [3, 4]).result() == 7


def test_a_cluster_in_this_process_is_joined_by_its_address_too():
    with connect(threads=1) as owner, connect(scheduler=owner.scheduler.address) as client:
        assert client.submit(sum, [1, 2]).result() == 3


@pytest.fixture
def closed_port():
    """Return a port that nobody listens at, and that nobody else can take meanwhile."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


@pytest.fixture
def hasty():
    """Wait no longer for one that says nothing than for one that is not there."""
    with dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}):
        yield


def test_a_scheduler_that_is_not_there_is_told(closed_port):
    address = f"tcp://127.0.0.1:{closed_port}"
    with (
        pytest.raises(SchedulerUnreachableError) as caught,
        connect(scheduler=address, connect_timeout_s=3.0),  # so long a busy machine may take
    ):
        pass
    assert str(caught.value).startswith(
        f"no Dask scheduler answered at {address!r} (connection refused). Start one"
    )
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith('with scheduler="embedded" (--scheduler embedded).')


def test_a_scheduler_that_says_nothing_is_told_with_the_time_that_it_had(hasty):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with (
            pytest.raises(SchedulerUnreachableError, match=r"within 0\.3 s \(no answer\)\."),
            connect(scheduler=address, connect_timeout_s=0.3),
        ):
            pass


NO_ADDRESSES = [
    ("foo", "which has no port"),
    ("", "which has no port"),
    ("tcp://127.0.0.1", "which has no port"),
    ("tcp://[::1]", "which has no port"),
    ("tcp://127.0.0.1:22222222", "whose port is no number from 1 to 65535"),
    ("tcp://127.0.0.1:abc", "whose port is no number from 1 to 65535"),
    ("tls://host:0", "whose port is no number from 1 to 65535"),
    ("host:-1", "whose port is no number from 1 to 65535"),
    ("::1", "which has an IPv6 address without brackets"),
    ("http://127.0.0.1:1", "whose http:// Dask does not know"),
]


@pytest.mark.parametrize(("address", "fault"), NO_ADDRESSES)
def test_an_address_that_is_none_is_told_before_anything_is_asked(monkeypatch, address, fault):
    monkeypatch.setattr(reach, "_knock", None)
    assert reach.fault_of(address) == fault
    with (
        pytest.raises(SchedulerUnreachableError, match="is no address of a Dask scheduler"),
        connect(scheduler=address),
    ):
        pass


@pytest.mark.parametrize(
    "address",
    ["host:8786", "tcp://10.0.0.4:1", "tls://[::1]:65535", "ws://host:80/x", "inproc://1/2/3"],
)
def test_addresses_of_every_kind_are_asked(address):
    assert reach.fault_of(address) is None


@pytest.mark.parametrize("of", ["worker", "nanny"])
def test_a_worker_s_address_is_told_as_such_and_no_client_is_made(monkeypatch, of):
    with connect(workers=1, threads=1) as owner:
        ((address, worker),) = workers_of(owner).items()
        monkeypatch.setattr(reach, "Client", None)
        with (
            pytest.raises(SchedulerUnreachableError) as caught,
            connect(scheduler=address if of == "worker" else worker["nanny"]),
        ):
            pass
    says = f"(what answers there is a Dask {of}; give its scheduler's address)"
    assert says in str(caught.value)


def test_a_server_that_is_no_scheduler_is_told(hasty):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with (
            pytest.raises(SchedulerUnreachableError),
            connect(scheduler=address, connect_timeout_s=0.3),
        ):
            pass


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_scheduler_that_is_busy_is_waited_for_as_long_as_dask_does(monkeypatch, is_busy):
    asked = []
    knock = reach._knock

    async def knock_late(address, timeout_s, security):
        asked.append(timeout_s)
        if len(asked) == 1:
            raise TimeoutError if is_busy else ConnectionRefusedError
        await knock(address, timeout_s, security)

    monkeypatch.setattr(reach, "_knock", knock_late)
    with connect(workers=1, threads=1) as owner, ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.comm.timeouts.connect": "299s"}))
        if is_busy:
            client = stack.enter_context(connect(scheduler=owner.scheduler.address))
            assert client.submit(sum, [1, 2]).result() == 3
        else:
            stack.enter_context(pytest.raises(SchedulerUnreachableError, match="refused"))
            stack.enter_context(connect(scheduler=owner.scheduler.address))
    assert asked == ([5.0, 299.0] if is_busy else [5.0])


def start_script(tmp_path, body):
    """Start Python on a script without a main guard, in a process group of its own."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(body))
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_script_without_a_main_guard_starts_processes_once(tmp_path):
    process = start_script(
        tmp_path,
        f"""
        from dlsort_cluster.clusters.connect import connect
        print("begins")
        def twice(x):
            return 2 * x
        with connect(workers=1, threads=1, temp_dir={str(tmp_path)!r}) as client:
            print(client.submit(twice, 21).result())
        """,
    )
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (out.split(), err, process.returncode) == (["begins", "42"], "", 0)


@pytest.mark.parametrize("trouble", ["die-in-split", "split"])
def test_what_is_put_right_or_raised_is_not_logged_too(tmp_path, trouble):
    process = start_script(
        tmp_path,
        f"""
        import exchange_kit as kit
        from dlsort_cluster.p2p import build as p2p
        from dlsort_cluster.clusters.connect import connect, run

        marker = {str(tmp_path / "marker")!r}
        inputs = kit.sources(20, trouble={trouble!r}, at=11, marker=marker)
        with connect(workers=2, threads=2, temp_dir={str(tmp_path)!r}) as client:
            try:
                run(client, p2p.build(kit.exchange(), kit.name(), inputs, 6))
            except kit.CorruptFileError:
                print("raised")
            else:
                print("done")
        """,
    )
    out, err = process.communicate(timeout=PATIENCE_S)
    expected = "done\n" if trouble == "die-in-split" else "raised\n"
    assert (out, err, process.returncode) == (expected, "", 0)


@pytest.mark.parametrize("workers", [None, 2])
def test_ctrl_c_ends_everything_without_noise(tmp_path, workers):
    process = start_script(
        tmp_path,
        f"""
        import signal, sys, time, exchange_kit as kit
        from dlsort_cluster.p2p import build as p2p
        from dlsort_cluster.clusters.connect import connect, run

        # a shell that runs the tests in the background has it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def slow_merge(shards, context, slot):
            time.sleep(0.2)

        def on_progress(stats, outputs):
            if outputs:
                print("merging", flush=True)

        exchange = kit.exchange(100, slow_merge, store_bytes=10_000)
        layer = p2p.build(exchange, kit.name(), kit.sources(5), 100)
        try:
            with connect(workers={workers}, threads=2, temp_dir={str(tmp_path)!r}) as client:
                run(client, layer, on_progress)
        except KeyboardInterrupt:
            sys.exit("interrupted")
        """,
    )
    assert process.stdout.readline() == "merging\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (set(out.split()) <= {"merging"}, err, process.returncode) == (
        True,
        "interrupted\n",
        1,
    )


def test_a_connection_that_took_too_long_is_no_answer():
    error = OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 0.24 s")
    error.__cause__ = TimeoutError()
    assert reach._reason(error) == "no answer"
