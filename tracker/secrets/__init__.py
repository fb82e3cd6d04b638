"""Values a run may use and nobody may read afterwards."""
