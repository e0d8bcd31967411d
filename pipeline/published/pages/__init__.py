"""Pages made from the code's own definitions: the data dictionary and the vendors, as text."""
