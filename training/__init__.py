"""The offline trainer: plays the adversarial game and exports its winner as a model bundle."""

import os

# ONNX Runtime's Linux wheels report their use to their maker unless this is set before the first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
