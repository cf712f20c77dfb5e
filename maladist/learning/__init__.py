"""Networks, scalers and the model that holds them."""
