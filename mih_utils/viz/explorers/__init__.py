"""Explorers: figures with sliders that need no kernel."""
