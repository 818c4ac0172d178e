"""The networks of instances: interfaces, published ports, named and private networks."""

from __future__ import annotations

NO_NETWORK, HOST_NETWORK, PRIVATE_NETWORK = "none", "host", "private"
RESERVED = (NO_NETWORK, HOST_NETWORK, PRIVATE_NETWORK)
"""Values of --network that are not names of networks."""
