"""What a person types. Loads no torch until a command runs."""
