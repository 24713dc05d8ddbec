"""The parts of a screen. Each draws by lines and refreshes only the lines that changed."""
