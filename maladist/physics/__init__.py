"""Pure functions of densities, densities of states and atoms, one file a term; torch, float64, any device."""
