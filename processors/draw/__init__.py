"""processors/draw"""
