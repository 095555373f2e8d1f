"""Lambda's runtime on this machine, for checks, tests and benchmarks."""
