"""Scripts run by hand, which measure and print Markdown; no test runs them."""
