"""What a pass costs: operations, memory, the table of layers."""
