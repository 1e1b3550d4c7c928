"""One file a state: what a release in that state does next. Each takes what a pass sees and returns a Step."""
