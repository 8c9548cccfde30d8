"""Work out what a spec asks for, before anything is computed."""
