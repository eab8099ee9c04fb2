"""How good, how fast: measures, significance, test collections."""
