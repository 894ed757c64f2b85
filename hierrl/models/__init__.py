"""Models as sums of channels."""

from hierrl.models.channels import Channel, Regressor
from hierrl.models.model import Model, Parameter
from hierrl.models.named import model, models
from hierrl.models.recursion import Recursion

__all__ = ["Channel", "Model", "Parameter", "Recursion", "Regressor", "model", "models"]
