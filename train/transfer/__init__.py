"""Which source model to start from: features of models on the target's notes, and similarities made of them."""
