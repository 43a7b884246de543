"""Which calls the AI gets."""
