"""Pure functions of densities, densities of states and atoms, one file a term of the energy; torch, float64, any device."""
