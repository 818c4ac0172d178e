"""The networks of instances: interfaces, published ports, named and private networks."""
