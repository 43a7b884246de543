"""Simulated Twilio and simulated Realtime, and what is built on them."""
