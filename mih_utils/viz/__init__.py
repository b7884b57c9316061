"""Figures and explorers: the edge of the package, which nothing else imports."""
