"""Training, evaluation and data tools; the only package that needs torch and Lightning."""
