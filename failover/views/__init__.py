"""The pages, one file per group of them."""
