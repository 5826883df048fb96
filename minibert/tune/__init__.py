"""Better settings of a fine-tuning run: a space of them, trials in it, the best one as a file."""
