"""What can be wrong: one definition, for `status`, the doctor, the gateway and spread-alerts."""
