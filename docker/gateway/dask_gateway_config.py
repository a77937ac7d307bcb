"""Dask Gateway's server, for clusters that sort.

Run by ``dask-gateway-server --config docker/gateway/dask_gateway_config.py``, or, as the chart
has it, as ``gateway.extraConfig``. From the environment:

- ``GATEWAY_BACKEND``: kubernetes, slurm, or local (processes of this machine, without
  passwords or users: to try it) [local]
- ``GATEWAY_ADDRESS``: where it listens [127.0.0.1:8000]
- ``GATEWAY_TLS``: a folder with tls.crt and tls.key, a certificate that users trust: then the
  address is https://. Between scheduler, workers and clients all is TLS in any case, with
  certificates that the gateway makes for each cluster.
- ``GATEWAY_SCRATCH``: where workers spill: a disk of the node [/tmp]
"""

import os

from dask_gateway_server.options import Integer, Options, String

BACKENDS = {
    "kubernetes": "dask_gateway_server.backends.kubernetes.KubeBackend",
    "slurm": "dask_gateway_server.backends.jobqueue.slurm.SlurmBackend",
    "local": "dask_gateway_server.backends.local.UnsafeLocalBackend",
}
backend = os.environ.get("GATEWAY_BACKEND", "local")
scratch = os.environ.get("GATEWAY_SCRATCH", "/tmp")

c = get_config()  # noqa: F821 - traitlets gives it
c.DaskGateway.backend_class = BACKENDS[backend]
c.Proxy.address = os.environ.get("GATEWAY_ADDRESS", "127.0.0.1:8000")
if folder := os.environ.get("GATEWAY_TLS"):
    c.Proxy.tls_cert, c.Proxy.tls_key = f"{folder}/tls.crt", f"{folder}/tls.key"

# Dask 2026.8 has no dask-scheduler and dask-worker any more, which the gateway would start.
# Without a nanny: it would end a worker at 95 % of its memory, where dlsort can still spill.
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
c.ClusterConfig.worker_cmd = [
    *("dask", "worker", "--no-nanny", "--local-directory", scratch),
    *("--death-timeout", "120", "--preload", "dlsort.strategies.exchange"),
]
c.ClusterConfig.scheduler_memory = "2 G"
# A cluster that someone has forgotten ends; one that sorts is not idle.
c.ClusterConfig.idle_timeout = 1800
c.ClusterConfig.cluster_max_workers = 64

if backend == "kubernetes":
    # The image has to have dask-gateway in it: pip install dask-gateway on top of dlsort's.
    c.KubeClusterConfig.image = "registry.example/dlsort:0.1.0"
    c.KubeClusterConfig.worker_extra_pod_config = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        "volumes": [
            {
                "name": "scratch",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "50Gi"}},
                        }
                    }
                },
            }
        ],
    }
    c.KubeClusterConfig.worker_extra_container_config = {
        "volumeMounts": [{"name": "scratch", "mountPath": scratch}]
    }


def overrides(options):
    """Return the settings of a cluster, from what a user has chosen."""
    chosen = {
        "worker_cores": options.worker_cores,
        "worker_memory": f"{options.worker_memory_gib} G",  # GiB: the gateway's G is 2**30
    }
    if backend == "kubernetes" and options.image:
        chosen["image"] = options.image
    return chosen


c.Backend.cluster_options = Options(
    Integer("worker_cores", default=1, min=1, max=16, label="Cores of a worker"),
    Integer("worker_memory_gib", default=2, min=1, max=64, label="Memory of a worker, GiB"),
    String("image", default="", label="Image (Kubernetes; empty: the server's)"),
    handler=overrides,
)
