"""Run, check, package and deploy AWS Chalice apps, with an emulated AWS."""

__version__ = "1.0.0"
