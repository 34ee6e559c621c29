"""Networks, how a model is kept on disk, and the device it runs on."""
