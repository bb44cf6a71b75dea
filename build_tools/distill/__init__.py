"""Students: small query encoders that learn the teacher's vectors."""
