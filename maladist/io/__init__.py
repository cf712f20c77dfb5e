"""The only place that touches files.

qe/  mala/  fields/   other programs' formats: Quantum ESPRESSO, MALA, scalar fields
calculations  a DFT calculation from whichever file tells of it
stores       zarr stores; appearing: how they come and go; opening: as a Dataset; datasets: stores of snapshots
samples      files of a training
chunks       what is lost or garbled of a store is told when it is read; digests: by what is known of it when finished
model_file   model files; shipped: those that come with the package
structures   atoms from anything that ASE reads
inspect      what a file or store holds, for people
"""
