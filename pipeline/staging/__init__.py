"""Staging: answers parsed exactly, validated by contract, and deduplicated by key. Nothing is dropped silently."""
