"""Small modules without domain knowledge: errors, clock, exact JSON, secrets, printable text, locks."""
