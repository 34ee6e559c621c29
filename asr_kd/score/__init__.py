"""Frame accuracy, word error rate, their intervals, and the report."""
