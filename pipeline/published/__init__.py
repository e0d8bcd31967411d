"""Published: what readers open. A build is there whole or not at all, and never waits for anybody."""
