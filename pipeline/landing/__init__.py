"""Landing: the exact bytes of every answer, kept permanently. Nothing is parsed or merged here."""
