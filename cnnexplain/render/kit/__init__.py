"""From explanations to pictures."""
