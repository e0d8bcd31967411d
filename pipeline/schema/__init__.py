"""Units, columns and tables, each defined once, and what is generated from them."""
