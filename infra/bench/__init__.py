"""infra/bench"""
