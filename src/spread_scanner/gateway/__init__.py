"""The gateway: what the system looks like now, for programs and people, over HTTP."""
