"""What is kept: rooms as rows, chat, sessions and the media journal, in SQLite or PostgreSQL."""
