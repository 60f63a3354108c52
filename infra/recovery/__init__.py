"""infra/recovery"""
