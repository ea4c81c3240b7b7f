"""Measurements of the service: against its peers, against the bare ONNX session, under overload and over time."""
