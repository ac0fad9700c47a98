"""What the programs of `export/` share: options, and what they say of what they wrote."""
