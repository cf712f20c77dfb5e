"""Dask clusters: a client from a name, a YAML file or an address.

description   what a user may call a cluster, read and checked
start         local, batch systems, GPUs of a node, Kubernetes, a scheduler that runs
hold          a cluster kept open, so that many runs share warm workers
"""

from maladist.cluster.hold import hold
from maladist.cluster.start import client_or_local, cluster, job_script

__all__ = ["client_or_local", "cluster", "hold", "job_script"]
