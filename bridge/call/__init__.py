"""One call, without I/O: what happens, what follows from it."""
