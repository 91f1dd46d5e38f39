"""A recipe in, a model repo out: splits, labelled windows, batches, training, ensembles."""
