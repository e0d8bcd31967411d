"""Published builds, which readers open. A build appears completely or not at all, and readers are never blocked."""
