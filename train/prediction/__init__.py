"""Many notes through one predictor."""
