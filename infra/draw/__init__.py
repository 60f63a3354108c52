"""infra/draw"""
