"""The client's version, which is that of the service it was released with."""

VERSION = "0.1.0"
