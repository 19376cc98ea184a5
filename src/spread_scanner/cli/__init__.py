"""spread-ctl and spread-bench: what a person types, and how it is answered on a terminal."""
