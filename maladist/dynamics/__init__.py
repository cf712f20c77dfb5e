"""Atoms that move on A: ASE's integrators and optimisers over our calculator, in folders that are gone on with.

settings   what is wanted of an MD, of a relaxation
ready      atoms and model checked, the grid held fixed, before anything is computed
step       what is told of a step: energies, temperature, μ, novelty
folder     arguments, trajectory and table of a run; one writer; from where a run goes on
md         NVE, Langevin and constant pressure
warm       what the calculator had, for a run that goes on
relax      BFGS or FIRE, with or without the cell
summary    drift, fluctuations and means of an MD
"""
