"""How many calls one core carries: a lean rig that plays both sides, and bare relays as yardsticks.

Kept apart from the simulators on purpose. Those are faithful and therefore dear; this one spends as
little as it can per frame, so that one core of rig can fill one core of bridge.
"""
