"""What is built to be given away: packages, and layers for Lambda."""
