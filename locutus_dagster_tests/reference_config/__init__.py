"""The reference's configuration as a layer, and its import."""
