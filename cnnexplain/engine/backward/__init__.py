"""Rules on the way back: rectifiers, normalisations, gradients."""
