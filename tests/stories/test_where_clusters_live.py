"""Recipes of docker/: manifests keep to their schemas and agree, and scripts sort."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import jsonschema
import kubernetes_validate
import pytest
import yaml
from dask.utils import parse_bytes
from dask_jobqueue.local import LocalCluster as LocalJobs
from distributed.cli.dask_scheduler import main as scheduler_command
from distributed.cli.dask_worker import main as worker_command

from commands import dataset, read
from pages import ROOT, check_arguments
from patience import PATIENCE_S

DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
MANIFESTS = ["deployments.yaml", "daskcluster.yaml"]
OURS = "kubernetes.dask.org/v1"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = f"registry.example/dlsort:{VERSION}"

# What dask-kubernetes 2026.3 has beside Kubernetes' own PodSpec and ServiceSpec, which are
# looked at as those of a Pod and of a Service.
METADATA = {
    "type": "object",
    "properties": {"annotations": {"type": "object"}, "labels": {"type": "object"}},
    "additionalProperties": False,
}


def holds(required: list[str], **properties: Any) -> dict[str, Any]:
    """Return the schema of an object of these properties and no others."""
    schema = {"type": "object", "required": required, "properties": properties}
    return {**schema, "additionalProperties": False}


ANY = {"type": "object"}
SCHEDULER = holds(["service", "spec"], metadata=METADATA, service=ANY, spec=ANY)
WORKER = holds(["spec"], metadata=METADATA, replicas={"type": "integer"}, spec=ANY)
CLUSTER = holds(
    ["spec"],
    metadata=METADATA,
    spec=holds(
        ["worker", "scheduler"],
        worker=WORKER,
        scheduler=SCHEDULER,
        idleTimeout={"type": "integer"},
    ),
)
JOB = holds(
    ["cluster", "job"], cluster=CLUSTER, job=holds(["spec"], metadata=METADATA, spec=ANY)
)

# Of dask/helm-chart, values.yaml at e25bf51 (2026-06-12). A value that the chart does not know
# is passed over without a word.
CHART = {
    "scheduler": {
        *("image", "replicas", "serviceType", "servicePort", "env", "extraArgs", "resources"),
        *("tolerations", "affinity", "nodeSelector", "securityContext", "serviceAccountName"),
        *("livenessProbe", "readinessProbe"),
    },
    "worker": {
        *("image", "replicas", "strategy", "env", "extraArgs", "resources", "mounts"),
        *("annotations", "tolerations", "affinity", "nodeSelector", "securityContext"),
        *("serviceAccountName", "port", "portDashboard", "threads_per_worker"),
        *("livenessProbe", "readinessProbe", "custom_scheduler_url"),
    },
    "jupyter": {"enabled"},
}


def load(path: Path) -> Any:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def items(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((KUBERNETES / name).read_text())["items"]


def as_kubernetes(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what Kubernetes itself has a schema for; of the operator's resources their parts."""
    if item["apiVersion"] != OURS:
        yield item
        return
    parts = item["spec"]["cluster"]["spec"]
    metadata = {"name": item["metadata"]["name"]}
    for spec in (
        parts["scheduler"]["spec"],
        parts["worker"]["spec"],
        item["spec"]["job"]["spec"],
    ):
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    service = parts["scheduler"]["service"]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}


def pods(name: str) -> list[dict[str, Any]]:
    """Return the specs of all pods of a manifest."""
    found = [each for item in items(name) for each in as_kubernetes(item)]
    return [
        each["spec"] if each["kind"] == "Pod" else each["spec"]["template"]["spec"]
        for each in found
        if each["kind"] in ("Pod", "Deployment", "Job")
    ]


def containers(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each container of a manifest, with its pod."""
    return [
        (pod, container)
        for pod in pods(name)
        for container in (*pod.get("initContainers", []), *pod["containers"])
    ]


def flags(container: dict[str, Any]) -> dict[str, str]:
    words = [word for word in container["command"] if word.startswith("--")]
    return dict(word.removeprefix("--").partition("=")[::2] for word in words)


def parse(command: list[str]) -> None:
    """Have a command of Dask's or ours read its arguments."""
    if command[0] == "dlsort":
        check_arguments(command[1:])
    else:
        assert command[0] == "dask"
        of = {"scheduler": scheduler_command, "worker": worker_command}[command[1]]
        of.make_context(command[1], list(command[2:]))


# ---------------------------------------------------------------- Kubernetes


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_accepts_the_manifests(name):
    for item in items(name):
        for resource in as_kubernetes(item):
            for version in ("1.29", kubernetes_validate.latest_version()):
                kubernetes_validate.validate(resource, version, strict=True)
        if item["apiVersion"] == OURS:
            assert item["kind"] == "DaskJob"
            jsonschema.validate(item["spec"], JOB)


def test_a_manifest_with_a_slip_is_refused():
    (pod,) = [p for p in as_kubernetes(items("daskcluster.yaml")[1]) if "worker" in str(p)][:1]
    pod["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_a_manifest_says_twice_agrees(name):
    found = containers(name)
    assert [c["name"] for _, c in found] == ["scheduler", "worker", "wait", "client"]
    services = [e for i in items(name) for e in as_kubernetes(i) if e["kind"] == "Service"]
    ports = {port["name"]: port["port"] for port in services[0]["spec"]["ports"]}
    assert ports == {"tcp-comm": 8786, "http-dashboard": 8787}
    for pod, container in found:
        assert container["image"] == IMAGE
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"tmp", "dask", "tls"} <= set(mounts)  # whoever connects needs a certificate
        assert set(mounts) <= {volume["name"] for volume in pod["volumes"]}
        if container["name"] != "wait":
            parse(container["command"])
    scheduler, worker, wait, client = (container for _, container in found)
    assert flags(scheduler)["port"] == "8786"
    assert flags(scheduler)["protocol"] == "tls"
    limits = worker["resources"]["limits"]
    assert worker["resources"]["requests"] == limits
    assert parse_bytes(flags(worker)["memory-limit"]) == parse_bytes(limits["memory"])
    assert flags(worker)["nthreads"] == limits["cpu"]
    (scratch,) = [m for m in worker["volumeMounts"] if m["name"] == "scratch"]
    assert flags(worker)["local-directory"] == scratch["mountPath"]
    address = flags(client)["scheduler"]
    assert address == worker["command"][2]
    assert f'"{address}"' in wait["command"][2]
    compile(wait["command"][2], "wait", "exec")
    replicas = {str(n) for n in re.findall(r"replicas: (\d+)", (KUBERNETES / name).read_text())}
    assert re.search(r"wait_for_workers\((\d+)", wait["command"][2])[1] in replicas


@pytest.mark.parametrize("name", MANIFESTS)
def test_dask_reads_the_settings_of_a_manifest(name):
    (text,) = [i["data"]["dask.yaml"] for i in items(name) if i["kind"] == "ConfigMap"]
    told = yaml.safe_load(text)["distributed"]["comm"]
    names = {file.removeprefix("/tls/") for file in re.findall(r"/tls/[\w.]+", text)}
    assert names == {"ca.crt", "tls.crt", "tls.key"}  # as certificates.sh and cert-manager do
    assert told["require-encryption"] is True
    assert set(told["tls"]) <= set(dask.config.get("distributed.comm.tls"))


def test_the_policy_and_the_budget_are_of_the_pods_that_there_are():
    found = {item["kind"]: item for item in items("deployments.yaml")}
    deployed = [i for i in items("deployments.yaml") if i["kind"] in ("Deployment", "Job")]
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in deployed]
    policy = found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert all(policy.items() <= each.items() for each in labels)
    for kind in ("PodDisruptionBudget", "Service"):
        selector = found[kind]["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert sum(selector.items() <= each.items() for each in labels) == 1


def test_the_charts_values_are_ones_it_knows():
    values = yaml.safe_load((KUBERNETES / "helm-values.yaml").read_text())
    for name, told in values.items():
        assert set(told) <= CHART[name]
    worker = values["worker"]
    for role in ("scheduler", "worker"):
        image = values[role]["image"]
        assert f"{image['repository']}:{image['tag']}" == IMAGE
    limits = worker["resources"]["limits"]
    assert parse_bytes(limits["memory"]) == 8 * 2**30  # the chart hands it to Dask as it stands
    assert str(worker["threads_per_worker"]) == limits["cpu"]
    given = ["--nthreads", limits["cpu"], "--memory-limit", limits["memory"]]
    given += ["--no-dashboard", "--dashboard-address", "8790", *worker["extraArgs"]]
    parse(["dask", "worker", "dlsort-dask-scheduler:8786", *given])
    # What the chart starts is in the image.
    assert worker["image"]["dask_worker"] == "dask-worker"
    assert "/opt/dlsort/bin/dask-$role" in (DOCKER / "Dockerfile").read_text()


# ---------------------------------------------------------------- TLS and SLURM


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates") / "tls"
    subprocess.run([DOCKER / "certificates.sh", folder], check=True, timeout=PATIENCE_S)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    dataset(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_sorted(folder: Path) -> bool:
    ids = read(folder)["id"].to_pylist()
    return len(ids) == 1200 and ids == sorted(ids)


def test_certificates_are_private_and_never_overwritten(tls):
    assert {path.name for path in tls.iterdir()} == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tls.iterdir())
    again = subprocess.run(
        [DOCKER / "certificates.sh", tls], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert again.returncode == 2
    assert "has certificates already" in again.stderr


def settings(tls: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": str(tls / "ca.crt"),
    }
    for role in ("scheduler", "worker", "client"):
        for kind, file in (("cert", "tls.crt"), ("key", "tls.key")):
            found[f"distributed.comm.tls.{role}.{kind}"] = str(tls / file)
    return found


def test_a_job_of_slurm_asks_for_what_its_worker_takes(work, tls, capsys):
    told = yaml.safe_load((DOCKER / "slurm" / "dask.yaml").read_text())
    with dask.config.set(dask.config.merge(dask.config.config, told)):
        slurm = load(DOCKER / "slurm" / "sort_on_slurm.py")
        with dask.config.set(settings(tls)):
            slurm.main(["in", "out", "id", "--show-script"])
    script = capsys.readouterr().out
    asked = dict(re.findall(r"^#SBATCH (-\S+?)[ =](\S+)$", script, re.M))
    assert asked["--cpus-per-task"] == "8"
    assert asked["--mem"] == "32G"
    assert asked["-t"] == "04:00:00"
    (line,) = [line for line in script.splitlines() if "dask_worker" in line]
    words = line.partition("dask_worker ")[2].split()
    context = worker_command.make_context("worker", words)
    assert context.params["nthreads"] == 8
    assert parse_bytes(context.params["memory_limit"]) == 32 * 2**30
    assert context.params["local_directory"] == "/tmp"
    assert context.params["nanny"] is False
    assert context.params["tls_ca_file"] == str(tls / "ca.crt")
    assert context.params["scheduler"].startswith("tls://")
    assert context.params["lifetime"] == "225m"


# dask-jobqueue's LocalCluster kills its jobs, and closes no pipe of theirs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sort_runs_on_jobs_of_dask_jobqueue(work, tls):
    """Whose LocalCluster runs the jobs as SLURM would, on this machine."""
    job = {"cores": 1, "processes": 1, "memory": "1GiB", "local-directory": str(work)}
    here = {"jobqueue.local." + name: value for name, value in job.items()}
    quiet = {"jobqueue.local.scheduler-options": {"dashboard_address": "127.0.0.1:0"}}
    with dask.config.set({**settings(tls), **here, **quiet}):
        slurm = load(DOCKER / "slurm" / "sort_on_slurm.py")
        slurm.main(["in", "out", "id", "--jobs", "1"], LocalJobs)
    assert is_sorted(work / "out")


# Starts what it is given as often as there are tasks, and waits for all.
SRUN = """#!/bin/sh
trap 'kill $(jobs -p); wait' TERM
shift
for task in $(seq "$SLURM_NTASKS"); do "$@" & done
wait
"""


def test_a_job_script_sorts_and_leaves_nothing(work, tls):
    bin_folder = work / "bin"
    bin_folder.mkdir()
    for name, text in (
        ("srun", SRUN),
        ("dlsort", f'#!/bin/sh\nexec "{sys.executable}" -m dlsort "$@"\n'),
    ):
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    path = bin_folder, Path(sys.executable).parent, os.environ["PATH"]
    slurm = {"JOB_ID": "7", "NTASKS": "2", "CPUS_PER_TASK": "1", "MEM_PER_CPU": "1024"}
    (work / "scratch").mkdir()
    done = subprocess.run(
        ["bash", DOCKER / "slurm" / "sort.sbatch", "in", "out", "id"],
        env={
            **os.environ,
            **{f"SLURM_{name}": value for name, value in slurm.items()},
            "PATH": os.pathsep.join(map(str, path)),
            "DLSORT_TLS": str(tls),
            "DLSORT_SCRATCH": str(work / "scratch"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 worker processes" in done.stdout
    assert "tls://" in done.stderr
    assert is_sorted(work / "out")
    assert not (work / "dlsort-7").exists()


# ---------------------------------------------------------------- the page


def test_the_defaults_that_the_page_names_are_dasks():
    page = (ROOT / "docs" / "howto" / "where-clusters-live.md").read_text()
    defaults = {}
    for each in dask.config.defaults:
        defaults = dask.config.merge(defaults, each)
    named = re.findall(r"^\| .*`distributed\.([\w.-]+)`[^|]* \| ([^|]+) \|", page, re.M)
    assert len(named) >= 4
    for name, told in named:
        assert str(dask.config.get(f"distributed.{name}", config=defaults)) == told.strip("` ")


# ---------------------------------------------------------------- Dask Gateway


@pytest.fixture
def gateway(work) -> Iterator[str]:
    """Give the address of a server, whose clusters are processes of this machine."""
    pytest.importorskip("dask_gateway_server")  # its proxy is in wheels for Linux only
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {**os.environ, "GATEWAY_ADDRESS": address, "GATEWAY_SCRATCH": str(work)}
    # What is beside this Python first: the gateway looks for `dask` in the path.
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "dask_gateway_server"]
    config = DOCKER / "gateway" / "dask_gateway_config.py"
    with (
        (work / "server.log").open("w") as log,
        subprocess.Popen(
            [*command, "--config", config], env=environ, stdout=log, stderr=log
        ) as server,
    ):
        try:
            until = time.monotonic() + PATIENCE_S
            while not answers(f"http://{address}/api/health"):
                assert server.poll() is None, (work / "server.log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            yield f"http://{address}"
        finally:
            server.terminate()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_sort_runs_on_dask_gateway(work, gateway):
    script = DOCKER / "gateway" / "sort_on_gateway.py"
    done = subprocess.run(
        [sys.executable, script, gateway, work / "in", work / "out", "id", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr + (work / "server.log").read_text()
    assert is_sorted(work / "out")
