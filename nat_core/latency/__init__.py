"""Latency tables: what operators take on a device, how that is measured, and how far the sums can be trusted."""
