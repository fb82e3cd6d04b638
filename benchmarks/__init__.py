"""What users pay for, measured: one module per verb, and `run.py` that prints the table. Figures, not tests."""
