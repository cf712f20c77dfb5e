"""Configurations to train on.

crystal     displacements, strains and vacancies around a crystal
trajectory  uncorrelated frames of an MD trajectory
dynamics    a new MD run; settings: what is wanted of it
calculators forces for it: built in, or a file that can run no code
"""
