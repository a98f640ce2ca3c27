"""A user's own signatures, wells and structures as examples."""
