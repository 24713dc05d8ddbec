"""What one engine knows: its calls, its replicas of rooms, as immutable values. Pure."""
