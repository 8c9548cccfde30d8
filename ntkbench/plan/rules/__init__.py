"""Find the mistakes that no section of a spec can see by itself: one file a section."""
