"""Baseline methods of the field behind one interface."""
