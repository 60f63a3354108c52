"""The draw as pure computation, and answers about draws: chances, visits, registers of targets."""
