"""The service on one NVIDIA GPU: really CUDA, the same images as the CPU, and how near to the bare session."""
