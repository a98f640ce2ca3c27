"""The benchmark: methods, splits and conditions as cells of one resumable grid."""
