"""What a run takes from before, and how that is recognised."""
