"""Bare relays: the least that any bridge built on a websocket library has to do. Yardsticks."""
