"""Pages of the admin that belong to no table: connecting clients, the simulator, sessions, jobs, the change log."""
