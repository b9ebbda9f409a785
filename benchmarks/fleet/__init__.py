"""What a listing and a pack save for a fleet: simulated, and by 50 real processes."""
