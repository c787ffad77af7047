"""Side-by-side measurements of Rowmill's engine and its peers, on the same weights in one run."""
