"""What `nat doctor` looks at: this machine and its packages, or the folder of a run; and how a folder is mended."""
