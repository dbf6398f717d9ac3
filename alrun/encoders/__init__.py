"""Encoders: frozen networks and transforms, item -> features."""
