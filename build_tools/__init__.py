"""The desktop side: documents in, a bundle for small devices out."""
