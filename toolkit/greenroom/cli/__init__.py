"""The command line: `greenroom …`. Thin: everything it does, the toolkit does."""
