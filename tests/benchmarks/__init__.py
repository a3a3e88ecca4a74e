"""Scripts run by hand that print Markdown; tests run what needs no clock."""
