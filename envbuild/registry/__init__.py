"""The client of an image registry (OCI distribution specification 1.1): requests with authorization and within limits,
manifests, blobs up and down, tags. What a server sends is held against digests and sizes; who the user is there is told
to that registry and to its token server alone. Knows nothing of stores and images."""
