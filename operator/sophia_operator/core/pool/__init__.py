"""What a ConnectionPool needs, decided: pure functions over frozen values."""
