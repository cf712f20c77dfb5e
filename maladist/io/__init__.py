"""The only place that touches files.

qe/  mala/  fields/   other programs' formats: Quantum ESPRESSO, MALA, scalar fields
stores       zarr stores; datasets: stores of snapshots; samples: files of a training
model_file   model files
structures   atoms from anything that ASE reads
inspect      what a file or store holds, for people
"""
