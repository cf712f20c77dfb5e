"""Quantum ESPRESSO's files.

input, output, xml, wavefunctions   inputs of pw.x and pp.x, printed output, data-file-schema.xml, binary files
printed, beside      pieces of the printed output; the scf that belongs to an nscf
functionals  Quantum ESPRESSO's names of functionals
run          what a calculation tells of itself, whatever file it was read from
upf          pseudopotentials
"""
