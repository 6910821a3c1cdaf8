"""What runs inside a watched child process: found first on its PYTHONPATH, standard library only."""
