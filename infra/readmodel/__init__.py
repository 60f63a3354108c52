"""infra/readmodel"""
