"""What is checked before a flow starts. Nothing here writes, and importing it imports no torch."""
