"""Where a call goes. Imports nothing of the bridge."""
