"""HMM states, graph pieces and forced alignment."""
