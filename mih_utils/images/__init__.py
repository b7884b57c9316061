"""Images: shapes that can be judged exactly, digits, and the networks and metrics for them."""
