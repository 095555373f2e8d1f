"""Run, check, package and deploy AWS Chalice apps, with an emulated AWS."""
