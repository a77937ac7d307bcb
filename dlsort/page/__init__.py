"""Pages: what a sort is to do, and has done, for a browser, each a file that needs no other."""
