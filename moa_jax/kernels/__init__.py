"""The closed form: kernel ridge regression, labels shared by targets, leave-one-out answers."""
