"""Staging: answers parsed exactly, held to their contract, and deduplicated by key. Nothing is dropped unsaid."""
