"""What is measured: built objects in, a `Measurement` out."""
