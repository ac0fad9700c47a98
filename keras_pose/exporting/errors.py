"""What goes wrong in an export."""


class ExportError(ValueError):
    """A model that cannot be converted, or a converted file that is not the model."""
