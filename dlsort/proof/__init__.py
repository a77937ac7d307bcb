"""The proof: that the rows that come out are those that went in, and in order."""
