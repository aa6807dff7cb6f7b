"""What maintains and teaches, outside the library: see README.md."""
