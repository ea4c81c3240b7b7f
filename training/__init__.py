"""The offline trainer: plays the adversarial game and exports its winner as a model bundle."""
