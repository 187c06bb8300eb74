"""Image addresses to bytes by img2dataset, within what sites allow."""
