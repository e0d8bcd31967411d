"""Landing: the exact bytes of every answer, kept for ever. Nothing is parsed here and nothing is merged."""
