"""From snapshots to a model.

train      the verb: one flat loop; ranks: the same by several processes
config     what a training is told; sections: its parts
data       the snapshots, found and checked before a worker is asked for
prepare    everything else before the first step; samples: the points that are learnt from; batches: their order
state      what changes while a network is trained
validation errors on the validation snapshots; metrics: what is told of an epoch
"""
