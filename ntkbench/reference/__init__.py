"""Write the pages that the program tells about itself."""
