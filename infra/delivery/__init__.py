"""infra/delivery"""
