"""One file per distillation method: what it asks of teacher and student, its loss, its paper."""
