"""The same seed -> image work behind each serving framework that a user might pick instead, one small file each."""
