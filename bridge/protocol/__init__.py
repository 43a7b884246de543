"""The two wires, without I/O."""
