"""The whole system as children of one process: started, kept running, scored, ended."""
