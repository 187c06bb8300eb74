"""Download images with img2dataset, within the permissions of sites."""
