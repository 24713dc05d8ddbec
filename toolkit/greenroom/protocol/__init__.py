"""What both sides share: the room as a value, requests, events, and the functions that relate them. Pure."""
