"""What must outlive a process: decisions and call records."""
