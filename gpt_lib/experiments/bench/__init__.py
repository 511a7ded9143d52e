"""Speed and memory, beside other libraries: `make bench`."""
