"""One subcommand of ``loadtest`` per module, in a click command named ``command``."""
