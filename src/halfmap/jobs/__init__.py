"""Work that is remembered: a job has a folder, a record of what went in, events while it runs, and a report."""
