"""The only place that touches files: structures, pseudopotentials, models, zarr stores, other programs' formats."""
