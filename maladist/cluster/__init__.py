"""Dask clusters: a client from a name, a YAML file or an address.

description   what a user may call a cluster, read and checked
start         a client from it: starts, or reaches a scheduler that runs
local         processes of this machine; leave: how they end
batch         jobs of a batch system
performance   Dask's report of what a cluster did
hold          a cluster kept open, so that many runs share warm workers
"""

from maladist.cluster.batch import job_script
from maladist.cluster.hold import hold
from maladist.cluster.performance import performance_report
from maladist.cluster.start import Later, client_or_local, cluster

__all__ = ["Later", "client_or_local", "cluster", "hold", "job_script", "performance_report"]
