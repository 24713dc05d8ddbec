"""The database's versions, oldest first; run by `greenroom.storage.migrate`."""
