"""The embedded server: WebSocket, HTTP and page on aiohttp, around `RoomHub`, a repository and media workers."""
