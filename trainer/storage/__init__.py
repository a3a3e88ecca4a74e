"""Files that are complete or absent, on disks and in stores; the folder of a run."""
