"""Pictures of what records hold, one kind of analysis a module. They draw, and compute no result."""
