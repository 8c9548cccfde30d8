"""Turn words into numbers: one file a section of the spec."""
