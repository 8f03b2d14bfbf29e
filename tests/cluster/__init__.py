"""Real Kubernetes for tests: a whole cluster on this machine, or an API server alone.

In reading order: `tools` builds the programs that `tools.tsv` pins, `pki` makes their keys, `control_plane` knows their
arguments, `process` runs them. The program `apiserver` is etcd and an API server for one test. The program `cluster` is
all of Kubernetes, as `make cluster` starts it. Python's standard library only.
"""
