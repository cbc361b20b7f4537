"""Sweeps of any settings of any protocol, on one machine or many."""
