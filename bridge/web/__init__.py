"""HTTP: webhooks, the media socket, health."""
