"""Data sets that are painted here."""
