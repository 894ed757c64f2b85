"""Models as sums of channels."""

from hierrl.models.channels import Channel, Regressor
from hierrl.models.model import Model, Parameter
from hierrl.models.named import model, models

__all__ = ["Channel", "Model", "Parameter", "Regressor", "model", "models"]
