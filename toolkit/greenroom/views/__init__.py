"""State as rows and words: what every face shows, computed once. Pure; no colours, no widgets."""
