"""What all who ask web servers share."""
