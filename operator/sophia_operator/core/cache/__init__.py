"""What a CacheTier needs, decided: pure functions over frozen values."""
