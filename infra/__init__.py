"""Infrastructure: settings, the two engines, adapters, local stack, command line."""
