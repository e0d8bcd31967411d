"""Small leaves that know nothing of the domain: errors, clock, exact JSON, secrets, printable text, locks."""
