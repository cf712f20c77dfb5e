"""From the files of a DFT calculation to a snapshot of a data set.

convert    the verb, for one snapshot; folder: for all of a folder of MALA's
source     the files, their headers read and held against one another
levels     levels that come one a file: their order
tasks      what runs on a worker
"""
