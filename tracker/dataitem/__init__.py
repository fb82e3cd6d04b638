"""Data items: bytes and frames at any place that fsspec reaches, and artifacts by their store:// names."""
