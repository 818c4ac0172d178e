"""Images in the form that other tools take: layers, configurations and manifests of the OCI image specification.

All of it is data in and data out: nothing here knows the store, a registry or a network.
"""
