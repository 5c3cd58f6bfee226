"""Measurement of real hardware; torch and NVML live here only."""
