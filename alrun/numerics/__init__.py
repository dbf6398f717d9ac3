"""The mathematics that strategies share, on plain tensors."""
