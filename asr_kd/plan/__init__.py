"""What training and distillation will need of disk, memory and time, before they run."""
