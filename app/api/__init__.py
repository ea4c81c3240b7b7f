"""The HTTP edge: parse, call, respond; the only package that knows FastAPI."""
