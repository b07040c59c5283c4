"""What must hold when workers are killed, messages lost and targets fail."""
