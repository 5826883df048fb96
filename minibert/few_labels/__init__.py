"""Few labels, or none: zero-shot answers, few-shot comparisons, and more rows out of few."""
