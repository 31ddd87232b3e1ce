"""Projects: folders J1, J2, ..., their index, lineage and comparison."""
