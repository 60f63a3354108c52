"""infra/persons"""
