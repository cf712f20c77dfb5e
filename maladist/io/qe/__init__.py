"""Quantum ESPRESSO's files.

input, output, xml, wavefunctions   inputs of pw.x and pp.x, printed output, data-file-schema.xml, binary files
run          what a calculation tells of itself, whatever file it was read from
upf          pseudopotentials
"""
