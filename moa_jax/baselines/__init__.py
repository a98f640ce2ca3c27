"""Every method the field would pick instead, behind one interface."""
