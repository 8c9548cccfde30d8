"""Data sets and images in a user's own files: npz archives, folders of images, tables."""
