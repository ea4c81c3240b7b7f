"""Engines: what runs a graph."""

import os

# Its Linux wheels report their use to their maker unless this is set before the first import; a server should not.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
