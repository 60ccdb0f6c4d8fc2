"""The static network: core, shifter, readout, modulator, each a module with its own regulariser."""
