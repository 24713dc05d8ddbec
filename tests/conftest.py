"""For every test: properties are judged by what they find, not by how fast a shared machine finds it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("greenroom", deadline=None)
settings.load_profile("greenroom")
