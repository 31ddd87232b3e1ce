"""The jobs that find poses and maps."""
