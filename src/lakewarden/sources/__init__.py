"""Where events come from: files and the simulator."""
