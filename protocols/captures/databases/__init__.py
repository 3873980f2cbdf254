"""Scenarios for golden captures of databases, one file a protocol."""
