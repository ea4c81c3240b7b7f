"""Graphs that were trained elsewhere -> bundles: found out, rewritten to the bundle's form, and proven equal."""
