"""Matching: who gets what. Rankings of seekers for posts, and of posts for seekers, always fresh (DESIGN.md §5)."""
