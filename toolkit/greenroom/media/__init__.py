"""The client's sound: sources and sinks, Opus, the receive buffer, mixing, and one peer connection per call."""
