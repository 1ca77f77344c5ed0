"""Replication technologies: the contract (base), and one module or folder for each."""
