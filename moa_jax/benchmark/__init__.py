"""The benchmark: methods, splits and perturbations as cells of a resumable grid."""
