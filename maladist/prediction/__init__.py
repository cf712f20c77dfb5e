"""From atoms and a model, or from an LDOS, to n(r), D(ε) and A[n].

predict, many, observe, plan   the public verbs; lazy: `ldos` and `describe`
thermodynamics                 S, C_v, A at many temperatures from one D(ε); source: the result that it works on
diffraction                    X-ray structure factors and powder pattern of n(r); difference: n(r) less another
charges                        electrons and D(ε) of each atom, after Bader or Voronoi; charged: as arrays of the atoms
export_mala                    a model as a zip for MALA
stored                         a density in a store
options    the keywords that they share, typed once
setup      the input of a run, checked and completed from the model
place      this process for a small cell, a local cluster for a large one
stepper    one cell after another, of an MD: what they share stays warm
run        the run from its plan to its finished store, stage by stage
passes     what the stages have in common; a function mapped over the blocks, with a record of its own
template   its store before the blocks write to it
pilot      a first μ from random points
block      what runs on a worker for one block
tally      what a block adds to the reductions (a monoid)
fields     the energy terms that need the whole density
record     which blocks are done, read with distrust
result     `Prediction`; values: the variables of its store; provenance: who made it; spread: of an ensemble
"""
