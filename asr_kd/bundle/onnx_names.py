"""Names of a ``model.onnx``: its input, its outputs, and the key of its metadata that says its precision."""

INPUT = "windows"
LOG_POSTERIORS = "log_posteriors"
LOG_LIKELIHOODS = "log_likelihoods"
PRECISION = "precision"
