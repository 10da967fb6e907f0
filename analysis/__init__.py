"""Tables in; statistics, figures and HTML out. Knows no network and no flow."""
