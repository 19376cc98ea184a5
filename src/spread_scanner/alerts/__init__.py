"""spread-alerts: tells people what is wrong and what is new, each thing once."""
