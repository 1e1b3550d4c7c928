"""Work on the keys of a tier: what is to be done next, decided from what the last part did."""
