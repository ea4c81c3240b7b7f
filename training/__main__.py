"""`python -m training` is `gantrain`, for `torchrun -m training`."""

from training.cli import main

main(prog_name="gantrain")
