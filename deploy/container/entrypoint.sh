#!/bin/sh
# What a container of maladist runs: a Dask program by its name, anything else as a command of maladist.
case "${1:-}" in
dask-worker) shift; exec python -m distributed.cli.dask_worker "$@" ;;
dask-scheduler) shift; exec python -m distributed.cli.dask_scheduler "$@" ;;
dask | python | sh | bash) exec "$@" ;;
*) exec maladist "$@" ;;
esac
