"""What a spec can say: one file a section of the YAML."""
