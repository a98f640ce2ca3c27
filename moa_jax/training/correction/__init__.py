"""The network that corrects the closed form: what it is given, and how it is trained."""
