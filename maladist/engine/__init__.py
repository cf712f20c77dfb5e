"""The engine: what knows Dask."""
