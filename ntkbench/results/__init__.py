"""Make tables, frames, reports and pages of records."""
