"""What every layer may use: names and objects, deadlines, checksums, threads, forks."""
