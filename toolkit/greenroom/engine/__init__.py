"""The engine: a client, its calls, its sound, on a thread of their own."""

from greenroom.engine.call import BlockingCall, Call
from greenroom.engine.client import BlockingClient, Client

__all__ = ["BlockingCall", "BlockingClient", "Call", "Client"]
