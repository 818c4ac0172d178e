"""The way out of a step with `network`: a proxy for HTTP and HTTPS that lets pass what the step may ask, and notes it.

Knows nothing of builds: it is given rules and the machine's own settings, and a socket that listens inside the step's
network. Loaded only where a step with a network runs.
"""
