"""Medical volumes: NIfTI files and DICOM series, cut into slices and put together again."""
