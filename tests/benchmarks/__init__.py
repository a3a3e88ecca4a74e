"""Scripts run by hand, which measure and print Markdown; tests run what needs no clock."""
