"""The simulated provider keeps the contract."""
