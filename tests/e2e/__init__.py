"""End-to-end tests: whole programs on a real Kubernetes. `make e2e` runs them; each file NAME_test.py is a part of its own."""
