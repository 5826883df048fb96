"""What becomes of a model after its first fine-tuning: it is updated, learns on, or teaches a smaller one."""
