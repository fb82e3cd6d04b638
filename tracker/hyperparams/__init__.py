"""Searching over parameters: which combinations to try, which was the best, and how they are shown. Pure: nothing here runs anything."""
