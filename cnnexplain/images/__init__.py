"""Where pictures come from: finding them, decoding them."""
