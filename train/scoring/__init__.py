"""How good predictions are: strict scores, significance, and a predictor on annotated documents."""
