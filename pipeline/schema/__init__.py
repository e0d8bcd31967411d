"""Units, columns and tables, each defined once, and what is rendered from them."""
