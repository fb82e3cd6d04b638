"""What can be asked of the views."""
