"""Results for other programs and for deposition."""
