"""Kubernetes manifests and Kafka's ACLs, made from what the services are (`make manifests`)."""
