"""What people look at: galleries, plots and the report."""
