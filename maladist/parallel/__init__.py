"""How work is put through a Dask cluster, or through this process where it is small.

waves      any number of tasks, a bounded number of them in the scheduler; results in the order of the jobs
here       this process in place of a cluster
watch      waiting for results while somebody is there to give them
task       what a task needs of its process
workers    what a plan must know of the workers, what a worker tells of itself
blocking   how a grid is cut for them
progress   what a run tells while it goes on
dashboard  a page of Dask's dashboard, with the tasks by state
"""
