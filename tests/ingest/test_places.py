"""From where: several sources, lists in files, standard input, web servers."""

from __future__ import annotations

import gzip
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import COMMAND, sort
from dlsort.errors import BadOptionError, CorruptSourceError, SourceNotFoundError
from dlsort.io import storage
from dlsort.io.storage import filesystem
from patience import PATIENCE_S


def keys(out):
    return pq.read_table(out)["k"].to_pylist()


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"k": [3, 1]}), tmp_path / "in" / "a.parquet")
    (tmp_path / "in" / "b.csv").write_text("k\n2\n")
    return tmp_path


# ---------------------------------------------------------------- several, and lists


def test_several_sources_and_the_last_is_the_destination(work):
    done = sort(work / "in" / "a.parquet", work / "in" / "b.csv", work / "out", by="k")
    assert done.exit_code == 0, done.stderr
    assert keys(work / "out") == [1, 2, 3]


def test_a_list_in_a_file_is_relative_to_itself(work):
    (work / "files.txt").write_text("# of today\n\nin/a.parquet\n  in/b.csv\n")
    assert sort(f"@{work}/files.txt", work / "out", by="k").exit_code == 0
    assert keys(work / "out") == [1, 2, 3]
    dlsort.sort_dataset([f"@{work}/files.txt"], work / "two", by="k", threads=1)
    assert dlsort.check_dataset(work / "two", against=f"@{work}/files.txt").ok


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (None, SourceNotFoundError, "does not exist; expected a list of paths"),
        (b"# nothing\n", BadOptionError, "lists no path"),
        (b"\xff\xfe", BadOptionError, "can't be read as a list"),
        (b"in/c.csv\n", SourceNotFoundError, "c.csv does not exist"),
        (b"in/b.csv\nin/b.csv\n", BadOptionError, "in the source twice"),
    ],
)
def test_lists_that_are_none(work, text, error, says):
    if text is not None:
        (work / "files.txt").write_bytes(text)
    with pytest.raises(error, match=says):
        dlsort.sort_dataset(f"@{work}/files.txt", work / "out", by="k")
    assert not (work / "out").exists()


# ---------------------------------------------------------------- standard input


def piped(data, *args):
    return subprocess.run(
        [*COMMAND, "sort", "-", *map(str, args), "--by", "k", "--threads", "1"],
        input=data,
        capture_output=True,
        timeout=PATIENCE_S,
    )


def parquet():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"k": [2, 1]}), sink)
    return sink.getvalue().to_pybytes()


def arrow(make):
    sink, table = pa.BufferOutputStream(), pa.table({"k": [2, 1]})
    with make(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def packed_by_zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


STREAMS = {
    "csv": (b"k\n2\n1\n", ["--input-format", "csv"]),
    "csv.gz": (gzip.compress(b"k\n2\n1\n"), ["--input-format", "csv"]),
    "jsonl": (b'{"k": 2}\n{"k": 1}', []),
    "jsonl.gz": (gzip.compress(b'{"k": 2}\n{"k": 1}'), []),
    "jsonl.zst": (packed_by_zstd(b'{"k": 2}\n{"k": 1}'), []),
    "parquet": (parquet(), []),
    "stream of arrow": (arrow(pa.ipc.new_stream), []),
    "file of arrow": (arrow(pa.ipc.new_file), []),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_standard_input_is_sorted(tmp_path, kind):
    data, args = STREAMS[kind]
    done = piped(data, tmp_path / "out", *args)
    assert done.returncode == 0, done.stderr
    assert keys(tmp_path / "out") == [1, 2]


@pytest.mark.parametrize(
    ("data", "args", "says"),
    [
        (b"", [], "standard input is empty"),
        (b"k\n1\n", [], "give --input-format: parquet, csv, jsonl or arrow"),
        (gzip.compress(b"k\n1\n"), [], "give --input-format: parquet, csv, jsonl or arrow"),
        (b"k\n1\n", ["--input-format", "csv", "--resume"], "can't be read again"),
        (b"k,x\n1\n", ["--input-format", "csv"], "standard input, line 2 has 1 value"),
        (b"k\n1\n", ["--input-format", "parquet"], "not Parquet"),
    ],
)
def test_standard_input_that_is_refused(tmp_path, data, args, says):
    done = piped(data, tmp_path / "out", *args)
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- web servers


class Server(SimpleHTTPRequestHandler):
    n_broken = 0

    def log_message(self, *args):
        pass

    def do_GET(self):
        if Server.n_broken:
            Server.n_broken -= 1
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"k\n1\n")
            self.close_connection = True
            return
        super().do_GET()


@pytest.fixture
def web(work):
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Server, directory=str(work / "in"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    Server.n_broken = 0


def test_files_of_a_web_server_are_sorted(work, web):
    report = dlsort.sort_dataset(
        [f"{web}/a.parquet", f"{web}/b.csv?version=2"], work / "out", by="k", threads=1
    )
    assert keys(work / "out") == [1, 2, 3]
    assert report.input_files == 2


def test_a_connection_that_breaks_off_is_tried_again(work, web):
    Server.n_broken = 2
    dlsort.sort_dataset(f"{web}/b.csv", work / "out", by="k", threads=1)
    assert keys(work / "out") == [2]
    Server.n_broken = 3
    with pytest.raises(CorruptSourceError, match="Tried 3 times"):
        dlsort.sort_dataset(f"{web}/b.csv", work / "two", by="k", threads=1)
    assert not (work / "two").exists()


def test_what_a_web_server_has_not(work, web):
    with pytest.raises(SourceNotFoundError, match=r"none\.csv does not exist on its server"):
        dlsort.sort_dataset(f"{web}/none.csv", work / "out", by="k", threads=1)
    with pytest.raises(BadOptionError, match="web servers are read only"):
        dlsort.sort_dataset(work / "in" / "b.csv", f"{web}/out", by="k", threads=1)


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://b/x", "s3"), ("gs://b/x", "gcs"), ("abfs://b/x", "azure")]
)
def test_a_package_that_is_missing_is_named_by_its_extra(monkeypatch, url, extra):
    import fsspec

    def missing(*args, **options):
        raise ImportError("Install it to access it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(BadOptionError, match=rf"pip install 'dlsort\[{extra}\]'"):
        filesystem(url)
    assert storage.is_store(url)
