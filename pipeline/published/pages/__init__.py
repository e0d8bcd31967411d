"""Documentation pages made from the code's definitions: the data dictionary and the vendors."""
