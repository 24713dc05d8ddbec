"""Choices as pure functions: when to reconnect, how good a connection is, who has the microphone."""
