"""The queue of a project, on this machine and on a cluster."""
