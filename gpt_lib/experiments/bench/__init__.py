"""Speed, memory and loss beside other libraries: `make bench`."""
