"""Parts that the programs of `export/` share: options, and reports on written files."""
