"""What becomes of one RecoveryAction. Pure."""
