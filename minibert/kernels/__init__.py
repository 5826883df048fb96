"""The few places where speed is made: attention, and the loss over a large vocabulary."""
