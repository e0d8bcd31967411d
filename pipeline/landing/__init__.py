"""Landing: the exact bytes of every answer, kept permanently. Nothing is parsed here and nothing is merged."""
